"""pg8000: prints what it was answered. It sends every statement, COPY as well, by Parse, Bind and Execute."""

import io
import sys
import urllib.parse

import pg8000.dbapi

part, url = sys.argv[1:]
COLUMNS = "clerk_user_id, email, full_name, role, margin_value, is_active"


def said(error):
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return told.get("C"), told.get("M", str(error))


class Session:
    def __init__(self, db):
        self.db, self.cursor = db, db.cursor()

    def run(self, what, sql, values=(), stream=None):
        try:
            self.cursor.execute(sql, values, stream=stream)
        except pg8000.dbapi.DatabaseError as error:
            self.db.rollback()
            print(what, *said(error))
            return
        rows = self.cursor.fetchall() if self.cursor.description else ()
        print(what, self.cursor.rowcount, [list(row) for row in rows])

    def copy_in(self, what, sql, data):
        self.run(what, sql, stream=io.BytesIO(data))

    def copy_out(self, what, sql):
        out = io.BytesIO()
        self.run(what, sql, stream=out)
        print(out.getvalue())


def binary(rows):
    out = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for row in rows:
        out += len(row).to_bytes(2, "big")
        for value in row:
            out += len(value).to_bytes(4, "big") + value
    return out + b"\xff\xff"


def ordinary(session):
    session.run("select", "SELECT 1 AS one, %s::text AS text", ("ä",))
    session.run("create", "CREATE TEMPORARY TABLE things (id int PRIMARY KEY, name text)")
    for n in range(5):
        session.run("insert", "INSERT INTO things VALUES (%s, %s) RETURNING *", (n, f"n{n}"))
    session.db.commit()
    session.run("duplicate", "INSERT INTO things VALUES (%s, %s)", (1, "again"))
    session.copy_in("copied", "COPY things FROM STDIN", b"10\tten\n11\t\\N\n")
    session.copy_in("csv", "COPY things (name, id) FROM STDIN (FORMAT csv, HEADER)", b'name,id\n"a, b",12\n')
    session.copy_in("binary", "COPY things FROM STDIN BINARY", binary([(b"\0\0\0\x0d", b"b")]))
    session.db.commit()
    session.copy_in("bad", "COPY things FROM STDIN", b"x\ty\n")
    session.copy_in("again", "COPY things FROM STDIN", b"14\ty\n1\ty\n")
    session.copy_out("out", "COPY (SELECT * FROM things ORDER BY id) TO STDOUT")
    session.run("syntax", "SELEC 1")
    session.run("unknown", "SELECT 1 FROM nowhere")
    for n in range(4):
        session.run("update", "UPDATE things SET name = %s WHERE id >= %s RETURNING id", (f"u{n}", 10 + n))
    session.run("left", "SELECT * FROM things ORDER BY id")
    session.run("delete", "DELETE FROM things WHERE id < %s", (3,))


def managed(session):
    left = f"SELECT {COLUMNS} FROM iso_agents WHERE email LIKE '%%@copied.org' ORDER BY email"
    session.run("read", f"SELECT {COLUMNS} FROM iso_agents ORDER BY email LIMIT 3")
    for user in ["user_1", "user_97", "nobody"]:
        session.run("one", f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id = %s", (user,))
    columns = "clerk_user_id, email, full_name"
    session.copy_in("copied", f"COPY iso_agents ({columns}) FROM STDIN", b"c1\tc1@copied.org\tCopied\nc2\tc2@copied.org\tZo\\u00eb\n")
    session.db.commit()
    session.run("left", left)
    session.copy_in(
        "csv", f"COPY iso_agents ({columns}, role) FROM STDIN (FORMAT csv, HEADER)", b'a,b,c,d\nc3,c3@copied.org,"Third, C",admin\n'
    )
    session.copy_in("binary", f"COPY iso_agents ({columns}) FROM STDIN BINARY", binary([(b"c4", b"c4@copied.org", b"Fourth")]))
    session.run("within", left)
    session.run("update", "UPDATE iso_agents SET full_name = upper(full_name) WHERE clerk_user_id = %s RETURNING full_name", ("c4",))
    session.db.rollback()
    session.run("rolled back", left)
    session.db.rollback()
    for what, data in [
        ("duplicate", b"c5\tc5@copied.org\tX\nc6\tc1@copied.org\tX\n"),
        ("null", b"c5\tc5@copied.org\t\\N\n"),
        ("columns", b"c5\tc5@copied.org\n"),
        ("more", b"c5\tc5@copied.org\tX\tX\n"),
    ]:
        session.copy_in(what, f"COPY iso_agents ({columns}) FROM STDIN", data)
        session.run("after it", "SELECT count(*) FROM iso_agents")
    session.copy_in("role", f"COPY iso_agents ({columns}, role) FROM STDIN", b"c5\tc5@copied.org\tX\tnobody\n")
    session.copy_in("unknown", "COPY iso_agents (nothing) FROM STDIN", b"")
    session.copy_in("empty", f"COPY iso_agents ({columns}) FROM STDIN", b"")
    session.copy_in("many", f"COPY iso_agents ({columns}) FROM STDIN", b"".join(b"m%d\tm%d@many.org\tMany\n" % (n, n) for n in range(3000)))
    session.run("many", "DELETE FROM iso_agents WHERE email LIKE '%%@many.org'")
    session.copy_out("out", f"COPY (SELECT {columns} FROM iso_agents WHERE email LIKE '%%@copied.org' ORDER BY 1) TO STDOUT")
    session.run("delete", "DELETE FROM iso_agents WHERE email = %s", ("c2@copied.org",))
    session.run("left", left)
    session.run("sum", "SELECT count(*), sum(margin_value) FROM iso_agents")
    session.db.commit()


where = urllib.parse.urlsplit(url)
db = pg8000.dbapi.connect(
    user=urllib.parse.unquote(where.username),
    password=where.password and urllib.parse.unquote(where.password),
    host=where.hostname,
    port=where.port,
    database=where.path.lstrip("/"),
)
{"ordinary": ordinary, "managed": managed}[part](Session(db))
db.close()

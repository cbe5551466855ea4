"""psycopg on statements that name no managed table: prints what it was answered."""

import logging
import sys

import psycopg

url = sys.argv[1]
# It logs the addresses of objects, which differ from run to run.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)


def show(what, cursor):
    columns = cursor.description and [
        (c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cursor.description
    ]
    print(what, cursor.statusmessage, cursor.rowcount, columns)
    if cursor.description:
        for row in cursor.fetchall():
            print("   ", row)


def fails(what, act):
    try:
        act()
    except psycopg.Error as error:
        print(what, error.sqlstate, error.diag.message_primary, error.diag.statement_position)
    else:
        print(what, "did not fail")


with psycopg.connect(url, autocommit=True) as db:
    notices = []
    db.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
    show("literal", db.execute("SELECT 1 AS one, %s::text AS two", ["ä"]))
    show("binary", db.cursor(binary=True).execute("SELECT %s::int8, %b::bytea", [2**40, b"\0\1"]))
    db.execute("CREATE TEMP TABLE things (id int PRIMARY KEY, name varchar(20), price numeric(8,2))")
    for attempt in range(8):
        # From the fifth time on psycopg uses a named prepared statement of its own.
        show("prepared", db.execute("SELECT %s::int + 1 AS next", [attempt]))
    cursor = db.cursor()
    cursor.executemany("INSERT INTO things VALUES (%s, %s, %s)", [(n, f"n{n}", n) for n in range(50)])
    print("executemany", cursor.rowcount)

    with db.pipeline() as pipeline:
        first = db.execute("SELECT count(*) FROM things")
        second = db.execute("UPDATE things SET price = price + %s WHERE id < %s", [1, 5])
        pipeline.sync()
        show("pipelined", first)
        show("pipelined", second)

    def failing_pipeline():
        with db.pipeline():
            db.execute("SELECT 1")
            db.execute("SELECT 1/%s::int", [0])
            db.execute("INSERT INTO things VALUES (1000)")

    fails("pipeline", failing_pipeline)
    show("after it", db.execute("SELECT count(*) FROM things WHERE id = 1000"))

    with db.cursor() as cursor:
        with cursor.copy("COPY things FROM STDIN") as copy:
            for n in range(100, 2100):
                copy.write_row((n, "copied", None))
        print("copied", cursor.statusmessage, cursor.rowcount)
        with cursor.copy("COPY (SELECT id FROM things ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
            print("bytes", sum(len(bytes(block)) for block in copy))

    def broken_copy():
        with db.cursor().copy("COPY things FROM STDIN") as copy:
            copy.write_row((5000, "x", None))
            raise psycopg.DataError("given up by the client")

    fails("copy given up", broken_copy)
    fails("syntax", lambda: db.execute("SELEC 1"))
    fails("unknown", lambda: db.execute("SELECT a, %s FROM nowhere", ["x"]))
    fails("duplicate", lambda: db.execute("INSERT INTO things VALUES (%s)", [1]))
    db.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
    print("notices", notices)

with psycopg.connect(url) as db:
    with db.cursor("scrolling", scrollable=True) as cursor:
        cursor.execute("SELECT generate_series(1, 500)")
        print("fetched", cursor.fetchmany(3), cursor.fetchone())
        cursor.scroll(400)
        print("scrolled", cursor.fetchone())
    with db.transaction() as outer:
        db.execute("CREATE TEMP TABLE inner_things (id int)")
        fails("savepoint", lambda: db.execute("SELECT 1/0"))
        raise psycopg.Rollback(outer)
    print("status", db.info.transaction_status.name, db.info.server_version > 0)

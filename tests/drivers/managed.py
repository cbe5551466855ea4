"""psycopg as the old version of the application: prints what it was answered."""

import logging
import sys

import psycopg
from psycopg.types.json import Jsonb

url = sys.argv[1]
# It logs the addresses of objects, which differ from run to run.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)
COLUMNS = "clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata"


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
        print(what, error.sqlstate)
    else:
        print(what, "did not fail")


def insert(db, number, **more):
    names = ["id", "clerk_user_id", "email", "full_name", *more]
    values = [
        f"00000000-0000-4000-8000-{number:012}",
        f"new_{number}",
        f"new.{number}@example.com",
        f"New {number}",
        *more.values(),
    ]
    places = ", ".join(["%s"] * len(values))
    return db.execute(
        f"INSERT INTO iso_agents ({', '.join(names)}) VALUES ({places}) RETURNING {COLUMNS}", values
    )


with psycopg.connect(url, autocommit=True) as db:
    for binary in (False, True):
        show("all", db.cursor(binary=binary).execute(f"SELECT {COLUMNS} FROM iso_agents ORDER BY email LIMIT 5"))
    for attempt in range(8):
        # Prepared on the server by name from the fifth time on.
        show("by key", db.execute(f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id = %s", [f"user_{attempt}"]))
        show("by role", db.execute("SELECT count(*) FROM iso_agents WHERE role = %s", ["operator"]))
    show("in", db.execute("SELECT count(*) FROM iso_agents WHERE role::text = ANY(%s)", [["admin", "iso_agent"]]))
    show("insert", insert(db, 1))
    show("insert", insert(db, 2, role="admin", metadata=Jsonb({"timezone": "Asia/Tokyo"})))
    fails("duplicate", lambda: insert(db, 1))
    fails("check", lambda: insert(db, 3, margin_value=-1))
    for attempt in range(7):
        show(
            "update",
            db.execute(
                "UPDATE iso_agents SET margin_value = margin_value + %s WHERE clerk_user_id = %s RETURNING margin_value",
                [attempt, "new_1"],
            ),
        )
    show("update none", db.execute("UPDATE iso_agents SET full_name = %s WHERE email = %s", ["x", "nobody"]))
    show("update some", db.execute("UPDATE iso_agents SET is_active = %s WHERE clerk_user_id LIKE %s", [True, "new%"]))
    cursor = db.cursor()
    cursor.executemany(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES (%s, %s, %s)",
        [(f"many_{n}", f"many.{n}@example.com", f"Many {n}") for n in range(20)],
    )
    print("executemany", cursor.rowcount)

    with db.pipeline() as pipeline:
        answers = [
            insert(db, 10),
            db.execute("UPDATE iso_agents SET full_name = %s WHERE clerk_user_id = %s", ["Piped", "new_10"]),
            db.execute(f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id = %s", ["new_10"]),
            db.execute("DELETE FROM iso_agents WHERE clerk_user_id = %s", ["new_10"]),
            db.execute("SELECT count(*) FROM iso_agents WHERE clerk_user_id = %s", ["new_10"]),
        ]
        pipeline.sync()
        for answer in answers:
            show("pipelined", answer)

    def failing_pipeline():
        with db.pipeline():
            insert(db, 11)
            insert(db, 11)
            insert(db, 12)

    fails("pipeline", failing_pipeline)
    show("after it", db.execute("SELECT count(*) FROM iso_agents WHERE clerk_user_id IN ('new_11', 'new_12')"))
    show("deleted", db.execute("DELETE FROM iso_agents WHERE clerk_user_id LIKE %s", ["many%"]))

with psycopg.connect(url) as db:
    with db.cursor("portal") as cursor:
        cursor.execute("SELECT clerk_user_id FROM iso_agents ORDER BY email")
        print("fetched", cursor.fetchmany(3), cursor.fetchone())
    with db.transaction() as outer:
        insert(db, 20)
        try:
            with db.transaction():
                insert(db, 20)
        except psycopg.errors.UniqueViolation as error:
            print("inner", error.sqlstate)
        show("kept", db.execute("SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'new_20'"))
        raise psycopg.Rollback(outer)
    show("rolled back", db.execute("SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'new_20'"))
    db.commit()
    db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    show("repeatable", db.execute("SELECT count(*) FROM iso_agents"))
    show("repeatable", db.execute("UPDATE iso_agents SET full_name = 'RR' WHERE clerk_user_id = 'new_1'"))
    show("repeatable", db.execute("DELETE FROM iso_agents WHERE clerk_user_id = 'new_2' RETURNING email"))
    db.commit()
    show("left", db.execute(f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY email"))

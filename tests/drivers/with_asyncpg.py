"""asyncpg: prints what it was answered, on ordinary tables or as the old version of the application."""

import asyncio
import json
import sys
import uuid

import asyncpg

part, url = sys.argv[1:]
COLUMNS = "clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata"


def show(what, rows):
    print(what, [dict(row) for row in rows] if isinstance(rows, list) else rows)


async def fails(what, awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as error:
        print(what, error.sqlstate, error)
    except (asyncpg.InterfaceError, asyncio.TimeoutError) as error:
        print(what, type(error).__name__)
    else:
        print(what, "did not fail")


async def ordinary(db):
    notices = []
    db.add_log_listener(lambda _, notice: notices.append((notice.severity, notice.message)))
    show("simple", await db.execute("SELECT 1; SELECT 2"))
    show("parameters", await db.fetch("SELECT $1::int + 1 AS next, $2::text AS text, $3::jsonb AS json", 41, "ä", "[1]"))
    await db.execute("CREATE TEMP TABLE things (id int PRIMARY KEY, name text, price numeric, at timestamptz)")
    for n in range(3):
        show("cached", await db.fetchval("SELECT $1::int * 2", n))
    statement = await db.prepare("INSERT INTO things VALUES ($1, $2, $3) RETURNING *")
    print([(p.name, p.oid) for p in statement.get_parameters()])
    print([(a.name, a.type.name) for a in statement.get_attributes()])
    show("prepared", await statement.fetch(1, "one", 1))
    show("status", statement.get_statusmsg())
    await fails("duplicate", statement.fetch(1, "one", 1))
    await db.executemany("INSERT INTO things VALUES ($1, $2)", [(n, f"n{n}") for n in range(10, 60)])
    await fails("executemany", db.executemany("INSERT INTO things VALUES ($1)", [(n,) for n in range(100, 0, -1)]))
    show("count", await db.fetchval("SELECT count(*) FROM things"))

    async with db.transaction():
        cursor = await db.cursor("SELECT id FROM things ORDER BY id")
        show("fetched", await cursor.fetch(3))
        await cursor.forward(40)
        show("after", await cursor.fetch(2))
        seen = [row["id"] async for row in db.cursor("SELECT id FROM things ORDER BY id", prefetch=7)]
        print("iterated", len(seen))
        try:
            async with db.transaction():
                await db.execute("SELECT 1/0")
        except asyncpg.DivisionByZeroError as error:
            print("savepoint", error.sqlstate)
        show("goes on", await db.fetchval("SELECT 'in it'"))

    show("copied", await db.copy_records_to_table("things", records=[(n, "copied", None, None) for n in range(200, 900)]))
    chunks = []

    async def take(data):
        chunks.append(data)

    show("out", await db.copy_from_query("SELECT id, name FROM things WHERE id < $1 ORDER BY id", 12, output=take, format="csv"))
    print(b"".join(chunks))
    await fails("copy", db.copy_records_to_table("things", records=[(1, "again", None, None)]))
    show("count", await db.fetchval("SELECT count(*) FROM things"))

    await fails("syntax", db.fetch("SELEC 1"))
    await fails("unknown", db.fetch("SELECT $1::int FROM nowhere", 1))
    # It cancels what takes too long, by a connection of its own.
    await fails("cancelled", db.fetch("SELECT pg_sleep(600)", timeout=0.2))
    show("after it", await db.fetchval("SELECT 'here'"))
    await db.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
    heard = asyncio.get_running_loop().create_future()
    await db.add_listener("news", lambda _, pid, channel, payload: heard.set_result((channel, payload)))
    await db.execute("NOTIFY news, 'hello'")
    print("heard", await heard)
    print("notices", notices)
    show("types changed", await db.execute("ALTER TABLE things ALTER price TYPE text"))
    show("again", await db.fetch("SELECT price FROM things WHERE id = 1"))
    await db.reset()


async def managed(db):
    # The roles are an enum: it asks the catalogue for what it does not know.
    await db.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)

    async def insert(number, **more):
        values = [uuid.UUID(int=number), f"new_{number}", f"new.{number}@example.com", f"New {number}", *more.values()]
        names = ", ".join(["id", "clerk_user_id", "email", "full_name", *more])
        places = ", ".join(f"${n + 1}" for n in range(len(values)))
        return await db.fetch(f"INSERT INTO iso_agents ({names}) VALUES ({places}) RETURNING {COLUMNS}", *values)

    show("read", await db.fetch(f"SELECT {COLUMNS} FROM iso_agents ORDER BY email LIMIT 3"))
    by_user = await db.prepare(f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id = $1")
    print([(a.name, a.type.name) for a in by_user.get_attributes()])
    for user in ["user_1", "user_97", "nobody", "user_101"]:
        show("prepared", await by_user.fetch(user))
    show("role", await db.fetchval("SELECT count(*) FROM iso_agents WHERE role = $1", "operator"))
    show("insert", await insert(1, role="operator", metadata={"a": [1, None]}))
    show("insert", await insert(2))
    await fails("duplicate", insert(2))
    await fails("role", insert(3, role="no such role"))
    show("update", await db.execute("UPDATE iso_agents SET margin_value = $1 WHERE clerk_user_id LIKE 'new%'", 3))
    show("returning", await db.fetch("UPDATE iso_agents SET role = $1 WHERE id = $2 RETURNING role, margin_value", "admin", uuid.UUID(int=1)))
    await db.executemany(
        "UPDATE iso_agents SET full_name = $1 WHERE clerk_user_id = $2", [(f"N{n}", f"user_{n}") for n in range(1, 30)]
    )
    async with db.transaction():
        cursor = await db.cursor("SELECT full_name FROM iso_agents WHERE full_name LIKE 'N%' ORDER BY email")
        show("cursor", await cursor.fetch(4))
        show("more", await cursor.fetch(2))
    chunks = []

    async def take(data):
        chunks.append(data)

    show("out", await db.copy_from_query("SELECT clerk_user_id, role FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY 1", output=take))
    print(b"".join(chunks))
    show("delete", await db.execute("DELETE FROM iso_agents WHERE id = $1", uuid.UUID(int=2)))
    show("left", await db.fetch(f"SELECT {COLUMNS} FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY email"))
    show("sum", await db.fetch("SELECT count(*), sum(margin_value) FROM iso_agents"))


async def main():
    db = await asyncpg.connect(url)
    await {"ordinary": ordinary, "managed": managed}[part](db)
    await db.close()


asyncio.run(main())

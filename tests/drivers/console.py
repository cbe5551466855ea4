"""Reads the console as a program of its users' would, with the driver that is named."""

import asyncio
import sys
from datetime import datetime, timedelta
from urllib.parse import urlsplit

driver, url = sys.argv[1:3]


def told(migrations, sessions, one):
    (name, phase, *_) = migrations[0]
    print(name, phase)
    assert migrations[0][3] is None or isinstance(migrations[0][3], datetime)
    assert isinstance(sessions[0][0], int), sessions
    assert isinstance(sessions[0][14], datetime), sessions
    assert isinstance(sessions[0][15], timedelta), sessions
    assert one == 1


def with_dbapi(connection, errors, sqlstate):
    cursor = connection.cursor()

    def rows(text):
        cursor.execute(text)
        return cursor.fetchall()

    # Within a transaction, which such drivers begin unasked.
    told(rows("SHOW MIGRATIONS"), rows("SHOW SESSIONS"), rows("SELECT 1")[0][0])
    # Often enough for a driver to prepare it.
    for _ in range(10):
        rows("SHOW VERSION")
    connection.commit()
    try:
        rows("SHOW NONSENSE")
    except errors as error:
        print(sqlstate(error))
    connection.rollback()
    rows("SHOW LISTS")
    connection.close()


async def with_asyncpg():
    import asyncpg

    connection = await asyncpg.connect(url)
    migrations = await connection.fetch("SHOW MIGRATIONS")
    sessions = await connection.fetch("SHOW SESSIONS")
    told([tuple(row) for row in migrations], [tuple(row) for row in sessions], await connection.fetchval("SELECT 1"))
    await connection.execute("SHOW VERSION; SHOW LISTS")
    try:
        await connection.fetch("SHOW NONSENSE")
    except asyncpg.PostgresError as error:
        print(error.sqlstate)
    await connection.close()


if driver == "psycopg":
    import psycopg

    with_dbapi(psycopg.connect(url), psycopg.Error, lambda error: error.sqlstate)
elif driver == "psycopg2":
    import psycopg2

    with_dbapi(psycopg2.connect(url), psycopg2.Error, lambda error: error.pgcode)
elif driver == "pg8000":
    import pg8000.dbapi as pg8000

    parts = urlsplit(url)
    connection = pg8000.connect(
        user=parts.username,
        password=parts.password,
        host=parts.hostname,
        port=parts.port,
        database=parts.path.lstrip("/"),
    )
    with_dbapi(connection, pg8000.DatabaseError, lambda error: error.args[0]["C"])
elif driver == "asyncpg":
    asyncio.run(with_asyncpg())

"""What clients that look a table up in the catalog make of `agents` and of what it refers to.

    catalog.py URL    prints a line of JSON for each of them"""

import io
import json
import sys

import django
import sqlalchemy
from django.conf import settings
from sqlalchemy.engine import make_url

url = make_url(sys.argv[1])
database = dict(
    ENGINE="django.db.backends.postgresql", NAME=url.database, USER=url.username or "", PASSWORD=url.password or "",
    HOST=url.host, PORT=url.port,
)
settings.configure(DATABASES={"default": database}, USE_TZ=True, INSTALLED_APPS=["django.contrib.contenttypes"])
django.setup()


def tell(step, made):
    try:
        told = made()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    print(json.dumps(dict(step=step, told=told), default=str, sort_keys=True))


engine = sqlalchemy.create_engine(url.set(drivername="postgresql+psycopg"))


def inspected():
    seen = sqlalchemy.inspect(engine)
    asked = [
        "get_columns", "get_pk_constraint", "get_foreign_keys", "get_unique_constraints", "get_check_constraints", "get_indexes",
        "get_table_comment",
    ]
    return {name: getattr(seen, name)("agents") for name in asked} | {"is_listed": "agents" in seen.get_table_names()}


def reflected():
    meta = sqlalchemy.MetaData()
    sqlalchemy.Table("agents", meta, autoload_with=engine)
    return sorted(meta.tables)


def created():
    """What an application's start does: nothing, where the table is there."""
    meta = sqlalchemy.MetaData()
    sqlalchemy.Table("agents", meta, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))
    statements = []
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    meta.create_all(engine, checkfirst=True)
    return [said for said in statements if said.lstrip().upper().startswith("CREATE")]


def compared():
    """Alembic's autogenerate, where it is there."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(one, name, kind, *_):
        return (name if kind == "table" else one.table.name) == "agents"

    meta = sqlalchemy.MetaData()
    with engine.connect() as connection:
        meta.reflect(connection, only=["agents"])
        options = dict(compare_type=True, compare_server_default=True, include_object=ours)
        context = MigrationContext.configure(connection, opts=options)
        return [str(one) for one in compare_metadata(context, meta)]


def of_django():
    from django.core.management import call_command

    said = io.StringIO()
    call_command("inspectdb", "agents", stdout=said)
    return said.getvalue().split("\n")


def migrations():
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    said = io.StringIO()
    call_command("migrate", check_unapplied=True, plan=True, stdout=said)
    return said.getvalue()


# By the number that a column, or a table, has had since it was made.
NUMBERS = ["ordinal_position", "dtd_identifier"]


def of_standard(what, order):
    def made():
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text(
                f"SELECT * FROM information_schema.{what} WHERE table_name = 'agents' ORDER BY {order}"))
            rows = [{name: value for name, value in row._mapping.items() if name not in NUMBERS} for row in rows]
            return [row for row in rows if not row.get("constraint_name", "").endswith("_not_null")]
    return made


def by_name():
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("SELECT 'agents'::regclass::text, to_regclass('agents')::text")).one()._tuple()


tell("SQLAlchemy: Inspector", inspected)
tell("SQLAlchemy: reflection", reflected)
tell("SQLAlchemy: create_all", created)
tell("Alembic: autogenerate", compared)
tell("Django: inspectdb", of_django)
tell("Django: migrate --check", migrations)
tell("information_schema.tables", of_standard("tables", "table_name"))
tell("information_schema.columns", of_standard("columns", "ordinal_position"))
tell("information_schema.table_constraints", of_standard("table_constraints", "constraint_name"))
tell("information_schema.key_column_usage", of_standard("key_column_usage", "constraint_name"))
tell("'agents'::regclass", by_name)

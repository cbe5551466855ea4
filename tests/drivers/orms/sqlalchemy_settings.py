"""SQLAlchemy on `user_settings`, as the old version of the coding agent: prints what it was answered.

    sqlalchemy_settings.py DRIVER URL TAG only:…|but:…   makes steps; rows of other tags are left alone"""

import asyncio
import datetime
import sys

from sqlalchemy import (
    JSON, Boolean, Column, DateTime, Float, Identity, Integer, String, and_, bindparam, case, column, create_engine, delete,
    desc, exists, func, insert, or_, select, text, true, tuple_, union_all, update, values,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert as upsert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, aliased, declarative_base, defer, load_only
from sqlalchemy.util.concurrency import greenlet_spawn

import steps
from steps import Meanwhile, base, step

how, url, tag, chosen = sys.argv[1:5]
Base = declarative_base()
TOS = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)


def columns():
    """All of them, in the order in which the application's model has them."""
    return dict(
        id=Column(Integer, Identity(), primary_key=True),
        keycloak_user_id=Column(String, index=True),
        language=Column(String),
        agent=Column(String),
        max_iterations=Column(Integer),
        security_analyzer=Column(String),
        confirmation_mode=Column(Boolean, default=False),
        llm_model=Column(String),
        llm_api_key=Column(String),
        llm_api_key_for_byor=Column(String),
        llm_base_url=Column(String),
        remote_runtime_resource_factor=Column(Integer),
        enable_default_condenser=Column(Boolean, nullable=False, default=True),
        condenser_max_size=Column(Integer),
        user_consents_to_analytics=Column(Boolean),
        billing_margin=Column(Float),
        enable_sound_notifications=Column(Boolean, default=False),
        enable_proactive_conversation_starters=Column(Boolean, nullable=False, default=True),
        sandbox_base_container_image=Column(String),
        sandbox_runtime_container_image=Column(String),
        accepted_tos=Column(DateTime),
        mcp_config=Column(JSON),
        search_api_key=Column(String),
        sandbox_api_key=Column(String),
        max_budget_per_task=Column(Float),
        enable_solvability_analysis=Column(Boolean, default=False),
        email=Column(String),
        email_verified=Column(Boolean),
        git_user_name=Column(String),
        git_user_email=Column(String),
    )


UserSettings = type("UserSettings", (Base,), {"__tablename__": "user_settings"} | columns() | {
    "user_version": Column(Integer, nullable=False, default=0),
})
# The same table, of which each UPDATE says which version it found.
Versions = declarative_base()
version = Column(Integer, nullable=False)
Versioned = type("Versioned", (Versions,), {"__tablename__": "user_settings"} | columns() | {
    "user_version": version, "__mapper_args__": {"version_id_col": version},
})
table = UserSettings.__table__


def called(name):
    return f"{name}-{tag}"


def short(word):
    return word and word.removesuffix(f"-{tag}")


def shown(row):
    """A row as the application sees it."""
    found = {column.name: getattr(row, column.name) for column in table.columns if column.name != "id"}
    return found | {"keycloak_user_id": short(row.keycloak_user_id)}


MINE = UserSettings.keycloak_user_id.like(f"%-{tag}")
WHO = UserSettings.keycloak_user_id
# Of those that all steps build on.
NAMES = ["ann", "bob", "cid", "dan", "eve", "fay", "gus"]


def of(names, person=WHO):
    return person.in_([called(name) for name in names])


SEVEN, THREE, TWO = of(NAMES), of(NAMES[:3]), of(NAMES[:2])


def session(**more):
    return Session(engine, **more)


def one(name):
    with session() as db:
        return db.scalars(select(UserSettings).where(WHO == called(name))).one()


def listed(db, *more):
    return [short(name) for name in db.scalars(select(WHO).where(MINE, *more).order_by(WHO))]


# What was there before the migration began.


@step
def all_that_was_there():
    with session() as db:
        rows = db.scalars(select(UserSettings).where(UserSettings.id < 20).order_by(UserSettings.id))
        return [shown(row) for row in rows]


# Making rows.


@base
def flushed():
    """One INSERT for all of them, each row's id by RETURNING (insertmanyvalues)."""
    with session() as db:
        rows = [
            UserSettings(
                keycloak_user_id=called(name), language=["en", "de", None][n % 3], max_iterations=n * 10, llm_model=f"m{n}",
                billing_margin=1 + n / 8, user_version=n, email=f"{name}@example.org", accepted_tos=TOS if n % 2 else None,
                enable_sound_notifications=n % 2 == 0, mcp_config={"n": n, "é": [1, None, {"deep": True}]},
            )
            for n, name in enumerate(NAMES)
        ]
        db.add_all(rows)
        db.flush()
        ids = [row.id for row in rows]
        db.commit()
        return [ids == sorted(set(ids)), [shown(row) for row in rows]]


@step
def added_one_by_one():
    with session() as db:
        first = UserSettings(keycloak_user_id=called("one"), accepted_tos=TOS)
        db.add(first)
        db.commit()
        second = UserSettings(keycloak_user_id=None, llm_model=called("nobody"))
        db.add(second)
        db.commit()
        return [first.id < second.id, shown(first), shown(second)]


@step
def of_one_person_twice():
    """What they say of the person differs, and each row keeps its own."""
    with session() as db:
        rows = [UserSettings(keycloak_user_id=called("twice"), accepted_tos=TOS, enable_sound_notifications=n == 1, language=f"l{n}") for n in range(3)]
        db.add_all(rows)
        db.commit()
        rows[1].accepted_tos = None
        rows[2].language = "fr"
        db.commit()
        db.delete(rows[0])
        db.commit()
        return [shown(row) for row in db.scalars(select(UserSettings).where(WHO == called("twice")).order_by(UserSettings.id))]


@step
def of_one_person_by_statements_of_their_own():
    """The second one is its person's by the first."""
    with session() as db:
        for n in range(2):
            db.add(UserSettings(keycloak_user_id=called("again"), language=f"l{n}", accepted_tos=TOS if n else None))
            db.flush()
        db.commit()
        return [shown(row) for row in db.scalars(select(UserSettings).where(WHO == called("again")).order_by(UserSettings.id))]


@step
def inserted_in_bulk():
    with session() as db:
        rows = [{"keycloak_user_id": called(f"bulk{n:04}"), "language": "bulk", "user_version": n} for n in range(60)]
        found = db.scalars(insert(UserSettings).returning(UserSettings, sort_by_parameter_order=True), rows).all()
        db.execute(insert(UserSettings), [{"keycloak_user_id": called(f"more{n}"), "llm_model": "x"} for n in range(3)])
        db.commit()
        return [[short(row.keycloak_user_id) for row in found][::15], found[0].enable_default_condenser, listed(db, WHO.like("more%"))]


@step
def inserted_from_a_query():
    with session() as db:
        chosen = select(WHO.concat("-copy-").concat(tag), UserSettings.language, UserSettings.user_version + 100)
        chosen = chosen.where(MINE, UserSettings.language == "de").order_by(WHO)
        made = insert(UserSettings).from_select(["keycloak_user_id", "language", "user_version"], chosen)
        rows = db.execute(made.returning(WHO, UserSettings.user_version, UserSettings.enable_solvability_analysis)).all()
        db.commit()
        return [list(row) for row in rows]


@step
def inserted_with_expressions_and_defaults():
    with session() as db:
        row = UserSettings(keycloak_user_id=called("made"), language=func.lower("EN"), user_version=select(func.max(UserSettings.user_version)).where(MINE).scalar_subquery() * 0 + 7)
        db.add(row)
        db.commit()
        plain = db.execute(insert(table).values(keycloak_user_id=called("plain")).returning(table.c.enable_default_condenser, table.c.user_version)).one()
        db.commit()
        return [shown(row), list(plain)]


@step
def given_keys():
    with session() as db:
        db.add(UserSettings(id=700_000 + int(tag), keycloak_user_id=called("given")))
        db.commit()
        merged = db.merge(UserSettings(id=700_000 + int(tag), language="merged"))
        db.merge(UserSettings(id=710_000 + int(tag), keycloak_user_id=called("merged"), language="new"))
        db.commit()
        return [short(merged.keycloak_user_id), merged.language, listed(db, UserSettings.id > 700_000)]


@step
def upserted():
    with session() as db:
        rows = [{"id": 720_000 + int(tag) * 10 + n, "keycloak_user_id": called(f"up{n}"), "language": "first", "user_version": n} for n in range(4)]
        db.execute(upsert(table).values(rows[:2]))
        made = upsert(table).values(rows)
        made = made.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={"language": made.excluded.language.concat("!"), "user_version": table.c.user_version + 10},
            where=table.c.language == "first",
        )
        found = db.execute(made.returning(table.c.keycloak_user_id, table.c.language, table.c.user_version)).all()
        ignored = db.execute(upsert(table).values(rows).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)).all()
        named = db.execute(upsert(table).values(rows[0]).on_conflict_do_update(constraint="user_settings_pkey", set_={"llm_model": "named"}).returning(table.c.llm_model)).all()
        db.execute(upsert(table).on_conflict_do_nothing(), rows)
        entity = db.scalars(upsert(UserSettings).values(rows[3]).on_conflict_do_update(index_elements=["id"], set_={"agent": "a"}).returning(UserSettings)).one()
        db.commit()
        return [sorted(map(list, found)), len(ignored), [list(row) for row in named], shown(entity)]


@step
def upserted_on_what_nothing_makes_unique():
    with session() as db:
        db.execute(upsert(table).values(keycloak_user_id="x").on_conflict_do_update(index_elements=["keycloak_user_id"], set_={"language": "x"}))


@step
def a_duplicate_key_is_refused():
    with session() as db:
        db.add(UserSettings(id=one("ann").id, keycloak_user_id=called("rival")))
        db.commit()


@step
def a_null_is_refused():
    with session() as db:
        db.execute(insert(table).values(keycloak_user_id=called("null"), user_version=None))


# Reading.


@step
def selected():
    with session() as db:
        return [
            shown(db.scalars(select(UserSettings).where(WHO == called("ann")).limit(1)).first()),
            shown(db.get(UserSettings, one("bob").id)),
            listed(db, WHO.in_([called("ann"), called("cid"), called("none")]), UserSettings.user_version < 4),
            listed(db, or_(UserSettings.language == "de", UserSettings.language.is_(None)), SEVEN),
            listed(db, UserSettings.mcp_config["n"].as_integer() == 3),
            listed(db, UserSettings.mcp_config["é"][2]["deep"].as_boolean(), THREE),
            listed(db, UserSettings.accepted_tos == TOS, SEVEN),
            listed(db, UserSettings.billing_margin.between(1.2, 1.6)),
            listed(db, tuple_(UserSettings.language, UserSettings.max_iterations).in_([("en", 0), ("de", 10)])),
            db.scalar(select(func.count(UserSettings.id)).where(SEVEN)),
            db.scalar(select(func.count()).select_from(select(UserSettings).where(SEVEN).subquery())),
            db.scalar(select(exists().where(WHO == called("eve")))),
            db.query(UserSettings).filter_by(keycloak_user_id=called("gus")).count(),
            listed(db, UserSettings.email.ilike("%FAY%")),
            db.scalars(select(UserSettings.language).where(SEVEN).distinct().order_by(UserSettings.language.nulls_first())).all(),
        ]


@step
def ordered_and_cut():
    with session() as db:
        early = select(UserSettings).where(SEVEN)
        return [
            [short(r.keycloak_user_id) for r in db.scalars(early.order_by(desc(UserSettings.user_version)).limit(2).offset(1))],
            [short(r.keycloak_user_id) for r in db.scalars(early.order_by(UserSettings.language.nulls_last(), UserSettings.id.desc()))],
            [r.language for r in db.scalars(early.distinct(UserSettings.language).order_by(UserSettings.language, UserSettings.id))],
            [r.user_version for r in db.scalars(early.options(load_only(UserSettings.user_version)).order_by(UserSettings.id))],
            [r.mcp_config["n"] for r in db.scalars(early.options(defer(UserSettings.mcp_config)).order_by(UserSettings.id))],
        ]


@step
def joined():
    other, third = aliased(UserSettings), aliased(UserSettings, name="t")
    with session() as db:
        same = select(WHO, other.keycloak_user_id).join(other, and_(other.language == UserSettings.language, other.id > UserSettings.id))
        same = same.where(SEVEN, of(NAMES, other.keycloak_user_id)).order_by(WHO, other.keycloak_user_id)
        none = select(WHO).outerjoin(third, and_(third.language == UserSettings.language, third.id != UserSettings.id, third.keycloak_user_id.like(f"%-{tag}")))
        none = none.where(SEVEN, third.id.is_(None)).order_by(WHO)
        nearest = select(other.keycloak_user_id).where(other.id > UserSettings.id, other.keycloak_user_id.like(f"%-{tag}")).order_by(other.id).limit(1).lateral("near")
        near = select(WHO, nearest.c.keycloak_user_id).join(nearest, true()).where(THREE).order_by(WHO)
        given = values(column("name", String), column("n", Integer), name="v").data([("ann", 1), ("eve", 2)])
        given = select(given.c.n, UserSettings.user_version).join(UserSettings, WHO == given.c.name + f"-{tag}").order_by(given.c.n)
        return [[[short(a) for a in row] for row in db.execute(q)] for q in [same, none, near]] + [[list(row) for row in db.execute(given)]]


@step
def aggregated():
    with session() as db:
        by = select(UserSettings.language, func.count(), func.sum(UserSettings.user_version), func.max(UserSettings.accepted_tos), func.array_agg(aggregate_order_by(UserSettings.user_version, UserSettings.id)))
        by = by.where(SEVEN).group_by(UserSettings.language).having(func.count() > 1).order_by(UserSettings.language)
        kinds = case((UserSettings.user_version > 3, "new"), else_="old")
        place = func.row_number().over(partition_by=UserSettings.language, order_by=UserSettings.id)
        return [
            [list(row) for row in db.execute(by)],
            [list(row) for row in db.execute(select(kinds, func.count()).where(SEVEN).group_by(text("1")).order_by(text("1")))],
            [[short(a), b] for a, b in db.execute(select(WHO, place).where(SEVEN).order_by(WHO))],
            [[short(a), b] for a, b in db.execute(select(WHO, func.json_build_object("v", UserSettings.user_version)).where(TWO).order_by(WHO))],
        ]


@step
def grouped_by_the_key():
    other = aliased(UserSettings)
    with session() as db:
        rows = select(WHO, UserSettings.email, func.count(other.id)).outerjoin(other, and_(other.language == UserSettings.language, of(NAMES, other.keycloak_user_id)))
        rows = rows.where(SEVEN).group_by(UserSettings.id).order_by(WHO)
        return [[short(a), b, c] for a, b, c in db.execute(rows)]


@step
def combined():
    with session() as db:
        newest = select(UserSettings.id, WHO).where(SEVEN).order_by(UserSettings.id.desc()).limit(3).cte("newest")
        both = union_all(select(WHO).where(MINE, UserSettings.language == "en", SEVEN), select(newest.c.keycloak_user_id)).subquery()
        found = db.execute(select(both.c.keycloak_user_id).order_by(both.c.keycloak_user_id)).scalars()
        entities = db.scalars(select(UserSettings).from_statement(text("SELECT * FROM user_settings WHERE keycloak_user_id = :who").bindparams(who=called("dan")))).all()
        whole = aliased(UserSettings, select(UserSettings).where(TWO).subquery())
        return [[short(name) for name in found], [shown(row) for row in entities], sorted(short(row.keycloak_user_id) for row in db.scalars(select(whole)))]


@step
def streamed():
    with session() as db:
        rows = db.scalars(select(UserSettings).where(SEVEN).order_by(WHO).execution_options(yield_per=2))
        found = [[short(row.keycloak_user_id) for row in part] for part in rows.partitions()]
    with engine.connect() as db:
        rows = db.execution_options(stream_results=True, max_row_buffer=3).execute(select(table.c.keycloak_user_id).where(SEVEN).order_by(WHO))
        return [found, short(rows.fetchone()[0]), len(rows.fetchmany(3)), [short(name) for name in rows.scalars()]]


@step
def streamed_beside_writes():
    with session() as db:
        for row in db.scalars(select(UserSettings).where(THREE).order_by(WHO).execution_options(yield_per=1)):
            row.git_user_name = f"g{row.user_version}"
        db.commit()
        return db.scalars(select(UserSettings.git_user_name).where(THREE).order_by(WHO)).all()


# Writing.


@step
def changed_and_flushed():
    with session() as db:
        row = db.scalars(select(UserSettings).where(WHO == called("bob"))).one()
        row.llm_model, row.mcp_config, row.accepted_tos, row.user_version = "new", {"a": 1}, TOS, row.user_version + 1
        db.commit()
        row.llm_model = row.llm_model
        row.mcp_config = None
        row.enable_sound_notifications = None
        row.billing_margin = UserSettings.billing_margin * 2
        db.commit()
        return shown(row)


@step
def many_changed_and_flushed():
    """UPDATEs of the same columns are one executemany."""
    with session() as db:
        for row in db.scalars(select(UserSettings).where(SEVEN)):
            row.git_user_email = f"{row.user_version}@git"
        db.commit()
        db.execute(update(UserSettings), [{"id": one(name).id, "max_budget_per_task": n / 2, "search_api_key": name} for n, name in enumerate(["ann", "cid"])])
        db.commit()
        return [[r.git_user_email, r.max_budget_per_task, r.search_api_key] for r in db.scalars(select(UserSettings).where(SEVEN).order_by(WHO))]


@step
def updated_by_statements():
    with session() as db:
        counts = [
            db.execute(update(UserSettings).where(MINE, UserSettings.language == "de", SEVEN).values(user_version=UserSettings.user_version + 1)).rowcount,
            db.execute(update(UserSettings).where(WHO == called("nobody")).values(language="x")).rowcount,
            db.execute(update(table).where(table.c.keycloak_user_id == bindparam("who")).values(agent=bindparam("what")), [{"who": called("ann"), "what": "a"}, {"who": called("dan"), "what": "d"}]).rowcount >= -1,
        ]
        told = db.execute(update(UserSettings).where(WHO.in_([called("ann"), called("eve")])).values(llm_model=func.upper(UserSettings.llm_model)).returning(WHO, UserSettings.llm_model, UserSettings.user_version)).all()
        other = aliased(UserSettings)
        joined = db.execute(update(UserSettings).where(SEVEN, other.keycloak_user_id == called("gus"), UserSettings.language == other.language).values(agent=other.llm_model)).rowcount
        inner = select(func.max(UserSettings.user_version)).where(SEVEN).scalar_subquery()
        db.execute(update(UserSettings).where(WHO == called("fay")).values(user_version=inner))
        entity = db.scalars(update(UserSettings).where(WHO == called("cid")).values(language="up").returning(UserSettings)).one()
        db.commit()
        rows = db.execute(select(WHO, UserSettings.user_version, UserSettings.agent, UserSettings.llm_model).where(SEVEN).order_by(WHO))
        return [counts, sorted(map(list, told)), joined, shown(entity), [list(row) for row in rows]]


@step
def a_row_changes_hands():
    with session() as db:
        row = UserSettings(keycloak_user_id=called("former"), accepted_tos=TOS, enable_sound_notifications=True)
        db.add(row)
        db.commit()
        row.keycloak_user_id = called("latter")
        db.commit()
        found = [shown(row)]
        row.keycloak_user_id = None
        db.commit()
        found.append(shown(row))
        row.keycloak_user_id = called("latter")
        db.commit()
        return found + [shown(row), listed(db, WHO.in_([called("former"), called("latter")]))]


@step
def a_key_changes():
    with session() as db:
        row = UserSettings(keycloak_user_id=called("moves"), accepted_tos=TOS)
        db.add(row)
        db.commit()
        row.id = 730_000 + int(tag)
        db.commit()
        found = shown(db.get(UserSettings, 730_000 + int(tag)))
        count = db.execute(update(UserSettings).where(UserSettings.id == 730_000 + int(tag)).values(id=UserSettings.id + 1000)).rowcount
        db.commit()
        return [found, count, listed(db, UserSettings.id == 731_000 + int(tag))]


@step
def an_unchanged_version():
    with session() as db:
        row = db.scalars(select(Versioned).where(Versioned.keycloak_user_id == called("gus"))).one()
        before = row.user_version
        row.language = "versioned"
        db.commit()
        row.agent = "twice"
        db.commit()
        return [row.user_version - before, shown(one("gus"))]


@step
def a_stale_object():
    with session() as db:
        row = db.scalars(select(Versioned).where(Versioned.keycloak_user_id == called("eve"))).one()
        with session() as rival:
            rival.execute(update(UserSettings).where(WHO == called("eve")).values(user_version=UserSettings.user_version + 1))
            rival.commit()
        row.language = "stale"
        db.commit()


@step
def a_stale_object_deleted():
    with session() as db:
        row = db.scalars(select(Versioned).where(Versioned.keycloak_user_id == called("eve"))).one()
        with session() as rival:
            rival.execute(update(UserSettings).where(WHO == called("eve")).values(user_version=UserSettings.user_version + 1))
            rival.commit()
        db.delete(row)
        db.commit()


@step
def an_object_that_is_gone():
    with session() as db:
        row = UserSettings(keycloak_user_id=called("going"))
        db.add(row)
        db.commit()
        db.refresh(row)
        with session() as rival:
            rival.execute(delete(UserSettings).where(WHO == called("going")))
            rival.commit()
        row.language = "gone"
        db.commit()


@step
def deleted():
    with session() as db:
        db.add_all([UserSettings(keycloak_user_id=called(f"del{n}"), language="del", accepted_tos=TOS) for n in range(6)])
        db.commit()
        rows = db.scalars(select(UserSettings).where(WHO.in_([called("del0"), called("del1")]))).all()
        for row in rows:
            db.delete(row)
        db.commit()
        told = db.execute(delete(UserSettings).where(WHO == called("del2")).returning(WHO, UserSettings.accepted_tos)).all()
        count = db.execute(delete(UserSettings).where(MINE, UserSettings.language == "del", WHO > "del4")).rowcount
        other = aliased(UserSettings)
        using = db.execute(delete(UserSettings).where(WHO == other.keycloak_user_id, other.keycloak_user_id == called("del4"))).rowcount
        db.commit()
        return [[list(row) for row in told], count, using, listed(db, UserSettings.language == "del")]


@step
def deleted_and_made_again():
    with session() as db:
        db.add(UserSettings(keycloak_user_id=called("phoenix"), accepted_tos=TOS))
        db.commit()
        db.execute(delete(UserSettings).where(WHO == called("phoenix")))
        db.add(UserSettings(keycloak_user_id=called("phoenix"), language="again"))
        db.commit()
        return shown(one("phoenix"))


# Locks.


@step
def locked():
    other = aliased(UserSettings)
    with session() as db:
        chosen = select(UserSettings).where(WHO.in_([called("ann"), called("bob")])).order_by(WHO)
        found = []
        for locking in [{}, {"key_share": True}, {"read": True}, {"read": True, "key_share": True}, {"nowait": True}, {"skip_locked": True}, {"read": True, "skip_locked": True}]:
            found.append([short(row.keycloak_user_id) for row in db.scalars(chosen.with_for_update(**locking))])
        found.append([short(row.keycloak_user_id) for row in db.scalars(chosen.limit(1).with_for_update(skip_locked=True))])
        found.append([short(row.keycloak_user_id) for row in db.scalars(chosen.with_for_update(of=UserSettings))])
        pair = select(WHO, other.keycloak_user_id).join(other, other.id == UserSettings.id).where(WHO == called("ann"))
        found.append([[short(a), short(b)] for a, b in db.execute(pair.with_for_update(of=other))])
        found.append([short(db.get(UserSettings, one("cid").id, with_for_update=True).keycloak_user_id)])
        row = db.scalars(select(UserSettings).where(WHO == called("dan"))).one()
        db.refresh(row, with_for_update=True)
        return found + [short(row.keycloak_user_id)]


def held(statement):
    """What comes of a statement while another session holds ann."""
    with session() as holder, session() as db:
        holder.scalars(select(UserSettings).where(WHO == called("ann")).with_for_update()).one()
        return [short(row.keycloak_user_id) for row in db.scalars(statement)]


ANN_AND_BOB = select(UserSettings).where(WHO.in_([called("ann"), called("bob")])).order_by(WHO)


@step
def locked_out_and_skipping():
    return [held(ANN_AND_BOB.with_for_update(skip_locked=True, **more)) for more in [{}, {"key_share": True}, {"read": True}]]


@step
def locked_out_and_not_waiting():
    return held(ANN_AND_BOB.with_for_update(nowait=True))


@step
def locked_out_and_not_waiting_for_a_share():
    return held(ANN_AND_BOB.with_for_update(nowait=True, read=True))


def meanwhile(name, change="user_version = user_version + 100"):
    return Meanwhile(url, (f"UPDATE user_settings SET {change} WHERE keycloak_user_id = %s", [called(name)]))


@step
def an_update_that_waits():
    with session() as db, meanwhile("dan") as other:
        count = db.execute(update(UserSettings).where(WHO == called("dan")).values(user_version=UserSettings.user_version + 1)).rowcount
        db.commit()
    return [other.waited_for, count, one("dan").user_version > 100]


@step
def a_stale_object_that_waits():
    with session() as db:
        row = db.scalars(select(Versioned).where(Versioned.keycloak_user_id == called("fay"))).one()
        row.language = "stale"
        with meanwhile("fay"):
            db.commit()


@step
def a_delete_that_waits():
    with session() as db:
        db.add(UserSettings(keycloak_user_id=called("waits"), language="a"))
        db.commit()
        with meanwhile("waits", "language = 'b'") as other:
            count = db.execute(delete(UserSettings).where(WHO == called("waits"), UserSettings.language == "a")).rowcount
            db.commit()
        return [other.waited_for, count, listed(db, WHO == called("waits"))]


@step
def a_lock_that_waits():
    with session() as db, meanwhile("gus", "agent = 'before'") as other:
        row = db.scalars(select(UserSettings).where(WHO == called("gus")).with_for_update()).one()
        seen = row.agent
        row.agent = "after"
        db.commit()
    return [other.waited_for, seen, one("gus").agent]


@step
def a_duplicate_key_that_waits():
    key = 740_000 + int(tag)
    insert_it = ("INSERT INTO user_settings (id, keycloak_user_id) VALUES (%s, %s)", [key, called("first")])
    with session() as db, Meanwhile(url, insert_it):
        db.add(UserSettings(id=key, keycloak_user_id=called("second")))
        db.commit()


@step
def an_upsert_that_waits():
    key = 750_000 + int(tag)
    insert_it = ("INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (%s, %s, 'theirs')", [key, called("raced")])
    with session() as db, Meanwhile(url, insert_it) as other:
        made = upsert(table).values(id=key, keycloak_user_id=called("raced"), language="ours")
        made = made.on_conflict_do_update(index_elements=["id"], set_={"agent": table.c.language})
        found = db.execute(made.returning(table.c.language, table.c.agent)).all()
        db.commit()
    return [other.waited_for, [list(row) for row in found]]


# Transactions.


@step
def savepoints():
    found = []
    with session() as db:
        db.add(UserSettings(keycloak_user_id=called("outer")))
        db.flush()
        try:
            with db.begin_nested():
                db.add(UserSettings(keycloak_user_id=called("inner")))
                db.flush()
                db.execute(insert(table).values(id=one("ann").id))
        except Exception as error:
            found.append(steps.told(error))
        with db.begin_nested() as point:
            db.execute(update(UserSettings).where(WHO == called("outer")).values(language="gone"))
            point.rollback()
        db.commit()
        return found + [listed(db, WHO.in_([called("outer"), called("inner")])), one("outer").language]


@step
def rolled_back():
    with session() as db:
        db.add(UserSettings(keycloak_user_id=called("undone")))
        db.execute(update(UserSettings).where(MINE).values(sandbox_api_key="undone"))
        db.execute(delete(UserSettings).where(WHO == called("ann")))
        db.rollback()
        return [listed(db, UserSettings.sandbox_api_key == "undone"), listed(db, WHO.in_([called("ann"), called("undone")]))]


@step
def repeatable_read():
    with session() as db:
        db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        before = db.scalar(select(func.count()).where(MINE, UserSettings.agent == "seen"))
        with session() as rival:
            rival.execute(update(UserSettings).where(WHO == called("cid")).values(agent="seen"))
            rival.commit()
        after = db.scalar(select(func.count()).where(MINE, UserSettings.agent == "seen"))
        return [before, after, db.execute(update(UserSettings).where(WHO == called("bob")).values(agent="rr")).rowcount]


@step
def repeatable_read_that_lost():
    with session() as db:
        db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        listed(db)
        with session() as rival:
            rival.execute(update(UserSettings).where(WHO == called("cid")).values(agent="won"))
            rival.commit()
        db.execute(update(UserSettings).where(WHO == called("cid")).values(agent="lost"))


@step
def outside_of_transactions():
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        made = db.execute(insert(table).values(keycloak_user_id=called("auto")).returning(table.c.language)).all()
        count = db.execute(update(table).where(table.c.keycloak_user_id == called("auto")).values(language="auto")).rowcount
        return [[list(row) for row in made], count, db.scalar(select(table.c.language).where(table.c.keycloak_user_id == called("auto")))]


@step
def tables_are_created_where_they_are_not():
    Base.metadata.create_all(engine)


@step
def all_at_the_end():
    with session() as db:
        rows = db.scalars(select(UserSettings).where(or_(MINE, UserSettings.llm_model == called("nobody"))).order_by(UserSettings.id))
        return [shown(row) for row in rows]


def nothing():
    pass


if how == "asyncpg":
    engine = create_async_engine(url.replace("postgres:", "postgresql+asyncpg:", 1)).sync_engine
    asyncio.run(greenlet_spawn(steps.run, steps.choice(chosen), nothing, nothing))
else:
    engine = create_engine(url.replace("postgres:", f"postgresql+{how}:", 1))
    steps.run(steps.choice(chosen), nothing, nothing)

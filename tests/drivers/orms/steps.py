"""A series of steps that a program makes with an ORM: each prints what it got, as one line of JSON.

What it prints depends on the rows alone: no ids, no SQL, no clock. So the lines of two runs, of which
one went through Crossfade, can be compared."""

import datetime
import decimal
import json
import threading
import uuid

import psycopg

STEPS = []
BASE = set()


def step(function):
    """The name of the function is the name of the step. Steps run in the order of the file."""
    STEPS.append(function)
    return function


def base(function):
    """A step that the others build on."""
    BASE.add(function.__name__)
    return step(function)


def plain(value):
    """What JSON has no word for."""
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return repr(value)


def told(error):
    """An error as an application could tell it from another: of its causes, the driver's is the last."""
    found = {"error": type(error).__name__}
    cause = getattr(error, "orig", None) or error.__cause__ or error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    diag = getattr(cause, "diag", None)
    fields = cause.args[0] if cause.args and isinstance(cause.args[0], dict) else None
    if diag is not None:
        found["sqlstate"] = diag.sqlstate
        found |= {"message": diag.message_primary, "table": diag.table_name, "constraint": diag.constraint_name}
    elif fields is not None:  # pg8000
        found["sqlstate"] = fields.get("C")
        found |= {"message": fields.get("M"), "table": fields.get("t"), "constraint": fields.get("n")}
    elif hasattr(cause, "sqlstate"):  # asyncpg
        found["sqlstate"] = cause.sqlstate
        found["message"] = cause.args[0]
        found |= {"table": getattr(cause, "table_name", None), "constraint": getattr(cause, "constraint_name", None)}
    else:
        found["message"] = str(error)
    return {key: value for key, value in found.items() if value}


def run(chosen, before, after):
    """Makes the chosen steps, or all but those that are left out."""
    for function in STEPS:
        if not chosen(function.__name__):
            continue
        before()
        try:
            found = {"got": function()}
        except Exception as error:  # what came is what is compared
            found = told(error)
        after()
        print(json.dumps({"step": function.__name__} | found, default=plain, ensure_ascii=False), flush=True)


def choice(words):
    """`only:a,b`, with what they build on, or `but:a,b`."""
    how, _, names = words.partition(":")
    names = set(filter(None, names.split(",")))
    unknown = names - {function.__name__ for function in STEPS}
    assert not unknown, f"no such step: {unknown}"
    return (lambda name: name in names | BASE) if how == "only" else (lambda name: name not in names)


class Meanwhile:
    """Another session that has done something and commits when it sees that somebody waits for it, or at the end
    of the block."""

    BLOCKS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"

    def __init__(self, url, *statements):
        self.url, self.statements = url, statements
        self.done, self.over = threading.Event(), threading.Event()
        self.failed = None
        self.waited_for = False

    def work(self):
        try:
            with psycopg.connect(self.url) as db:
                for statement, values in self.statements:
                    db.execute(statement, values)
                self.done.set()
                while not self.over.is_set() and not self.waited_for:
                    self.waited_for = db.execute(self.BLOCKS).fetchone()[0]
        except psycopg.Error as error:
            self.failed = error
        self.done.set()

    def __enter__(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        self.done.wait()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.failed:
            raise self.failed

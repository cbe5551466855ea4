"""Django on `main_enhanceduser`, as the old version of the CRM: prints what it was answered.

    django_users.py tables                        the tables as Django creates them
    django_users.py DRIVER URL TAG only:…|but:…   makes steps; rows of other tags are left alone"""

import datetime
import os
import sys
import urllib.parse

import steps

how, url, tag, chosen = sys.argv[1:] if len(sys.argv) > 2 else (sys.argv[1], "postgres://nobody@nowhere/none", "", "")
psycopg = sys.modules["psycopg"]
if how == "psycopg2":
    # Django takes the newer driver if it finds it.
    sys.modules["psycopg"] = None

import django
from django.conf import settings

place = urllib.parse.urlsplit(url)
database = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": place.path[1:],
    "USER": place.username,
    "PASSWORD": place.password,
    "HOST": place.hostname,
    "PORT": place.port,
    "OPTIONS": {"server_side_binding": True} if how == "psycopg-bound" else {},
}
settings.configure(
    DATABASES={"default": database, "other": database.copy()},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres", "crm.apps.Crm"],
    AUTH_USER_MODEL="main.CustomUser",
    USE_TZ=True,
)
django.setup()
sys.modules["psycopg"] = psycopg

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg
from django.db import connection, connections, transaction
from django.db.models import (
    Avg, Case, Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window,
)
from django.db.models.functions import Coalesce, Concat, ExtractYear, Length, Lower, RowNumber, TruncMonth, Upper
from django.utils import timezone

from crm.models import CustomUser, EnhancedUser, Technician
from steps import Meanwhile, base, step

if how == "tables":
    # A migration adds keys to other tables after it has created them: their columns are the last.
    EnhancedUser._meta.local_fields.sort(key=lambda field: field.name in ["manager", "technician"])
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        for model in [ContentType, Permission, Group, CustomUser, Technician, EnhancedUser]:
            editor.create_model(model)
    print("\n".join(editor.collected_sql))
    sys.exit()

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
ticks = 0


def now():
    """Time passes as steps do."""
    global ticks
    ticks += 1
    return START + datetime.timedelta(seconds=ticks)


timezone.now = now
users = EnhancedUser.objects


def called(name):
    return f"{name}-{tag}"


def mine(*conditions, **more):
    """The rows of this run."""
    return users.filter(*conditions, username__endswith=f"-{tag}", **more)


def make(name, **more):
    return users.create(username=called(name), date_joined=START, **more)


def get(name):
    return users.get(username=called(name))


def short(text):
    return text and text.removesuffix(f"-{tag}")


def names(rows):
    return sorted(short(row.username) for row in rows)


def shown(row):
    """A row as the application sees it, with its manager's name for the id."""
    fields = {f.attname: getattr(row, f.attname) for f in EnhancedUser._meta.concrete_fields}
    del fields["id"]
    fields["manager_id"] = row.manager_id and short(users.values_list("username", flat=True).get(id=row.manager_id))
    return fields


def groups(*which):
    return list(Group.objects.filter(name__in=which).order_by("id"))


# Rows that were there before the migration began.


@step
def all_that_was_there():
    rows = users.exclude(username__contains="-").order_by("id").select_related("manager", "technician")
    return [
        [r.id, r.username, r.first_name, r.email, r.department, r.custom_fields, r.hire_date,
         r.manager and r.manager.username, r.technician and r.technician.employee_id] for r in rows
    ]


@step
def columns_of_one():
    return shown(users.get(username="ada"))


# Making rows.


@base
def created():
    for n, name in enumerate(["boss", "head", "ann", "bob", "cid", "dan", "eve"]):
        make(
            name,
            email=f"{called(name)}@example.org",
            department=["Ops", "Sales", ""][n % 3],
            job_title="x" * n,
            employee_id=called(f"E{n}"),
            custom_fields={"k": n, "deep": {"list": [1, None, "é"]}},
            hire_date=datetime.date(2020 + n % 3, 1 + n, 1),
            last_login_ip=f"10.0.0.{n}" if n % 2 else None,
            failed_login_attempts=n,
        )
    return [shown(row) for row in mine().order_by("id")]


@base
def managers_are_set():
    boss, head = get("boss"), get("head")
    head.manager = boss
    head.save(update_fields=["manager"])
    return [
        mine(username__in=[called("ann"), called("bob")]).update(manager=head),
        mine(username__in=[called("cid"), called("dan")]).update(manager_id=boss.id),
        names(boss.subordinates.all()),
        names(head.subordinates.all()),
    ]


@step
def bulk_created():
    rows = [EnhancedUser(username=called(f"bulk{n}"), date_joined=START, department="Bulk") for n in range(5)]
    made = users.bulk_create(rows)
    return [len({row.pk for row in made}), names(users.filter(pk__in=[row.pk for row in made]))]


@step
def bulk_created_in_batches_ignoring_conflicts():
    rows = [EnhancedUser(username=called(f"bulk{n}"), date_joined=START, department="Ignored") for n in range(3, 8)]
    users.bulk_create(rows, batch_size=2, ignore_conflicts=True)
    return sorted(mine(username__startswith="bulk").values_list("username", "department"))


@step
def bulk_created_updating_conflicts():
    rows = [
        EnhancedUser(username=called(f"bulk{n}"), date_joined=START, department="New", job_title=f"t{n}")
        for n in range(6, 10)
    ]
    made = users.bulk_create(
        rows, update_conflicts=True, unique_fields=["username"], update_fields=["department", "job_title"]
    )
    return [
        len([row for row in made if row.pk]),
        sorted(mine(username__startswith="bulk").values_list("username", "department", "job_title")),
    ]


@step
def bulk_created_updating_conflicts_of_another_column():
    first, last = get("ann"), get("eve")
    rows = [
        EnhancedUser(username=called("other"), date_joined=START, employee_id=first.employee_id, phone="1"),
        EnhancedUser(username=called("fresh"), date_joined=START, employee_id=called("E99"), phone="2"),
    ]
    users.bulk_create(rows, update_conflicts=True, unique_fields=["employee_id"], update_fields=["phone"])
    return [shown(get("ann")), names(mine(phone__in=["1", "2"])), last.phone]


@step
def got_or_created():
    first = users.get_or_create(username=called("gotten"), defaults={"department": "Got", "date_joined": START})
    again = users.get_or_create(username=called("gotten"), defaults={"department": "Other", "date_joined": START})
    return [first[1], again[1], first[0].pk == again[0].pk, shown(again[0])]


@step
def got_or_created_by_a_loser():
    """Somebody else commits the same name between the look and the INSERT."""
    name = called("raced")
    insert = (
        "INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, "
        "date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at) "
        "VALUES ('', false, %s, '', '', '', false, true, '2026-01-01', 'Winner', '', '', '{}', 0, '2026-01-01', '2026-01-01')"
    )
    with Meanwhile(url, (insert, [name])) as other:
        row, made = users.get_or_create(username=name, defaults={"department": "Loser", "date_joined": START})
    return [other.waited_for, made, row.department]


@step
def updated_or_created():
    first = users.update_or_create(
        username=called("either"), defaults={"department": "A"}, create_defaults={"department": "B", "date_joined": START}
    )
    second = users.update_or_create(username=called("either"), defaults={"department": "A", "failed_login_attempts": 3})
    return [first[1], first[0].department, second[1], shown(second[0])]


@step
def given_keys():
    users.create(id=700_000 + int(tag), username=called("given"), date_joined=START)
    return [users.filter(id=700_000 + int(tag)).exists(), names(users.in_bulk([700_000 + int(tag)]).values())]


# Reading.


@step
def filtered():
    return [
        names(mine(department="Ops", is_active=True)),
        names(mine(Q(department="Ops") | Q(job_title__startswith="xxx"), ~Q(username__startswith="bob"))),
        names(mine(email__icontains="ANN")),
        names(mine(manager__username=called("boss"))),
        names(mine(manager__manager__isnull=False)),
        names(mine(hire_date__year=2020)),
        names(mine(last_login_ip__isnull=False)),
        names(mine(last_login_ip="10.0.0.3")),
        names(mine(custom_fields__k=2)),
        names(mine(custom_fields__deep__list__1=None)),
        names(mine(custom_fields__contains={"k": 3})),
        names(mine(custom_fields__has_key="deep")),
        names(mine(failed_login_attempts__in=[1, 2, 5])),
        names(mine(created_at__gt=START, created_at__lt=START + datetime.timedelta(days=1)))[:3],
        mine(department="Ops").count(),
        mine(department="Nothing").exists(),
        mine().filter(username__regex=r"^(ann|bob)").count(),
    ]


@step
def ordered_and_cut():
    rows = mine(username__in=[called(n) for n in ["boss", "head", "ann", "bob", "cid", "dan", "eve"]])
    return [
        [short(r.username) for r in rows.order_by("-failed_login_attempts")[2:5]],
        [short(r.username) for r in rows.order_by("department", "-id")],
        [short(r.username) for r in rows.order_by(F("last_login_ip").desc(nulls_last=True), "id")],
        [short(r.username) for r in rows.order_by("manager__username", "username")],
        [short(r.username) for r in rows.order_by("department", "username").distinct("department")],
        list(rows.order_by().values_list("department", flat=True).distinct().order_by("department")),
        short(rows.earliest("hire_date").username),
        short(rows.latest("hire_date").username),
    ]


@step
def related_rows():
    rows = mine(email__gt="").select_related("manager__manager", "technician").order_by("username")
    return [
        [short(r.username), short(r.manager and r.manager.username), short(r.manager and r.manager.manager and r.manager.manager.username)]
        for r in rows
    ]


@step
def prefetched():
    inner = Prefetch("subordinates", queryset=users.filter(is_active=True).order_by("username"), to_attr="active")
    rows = mine(email__gt="").prefetch_related("groups", "user_permissions", inner).order_by("username")
    return [[short(r.username), [g.name for g in r.groups.all()], names(r.active)] for r in rows]


@step
def deferred_columns():
    row = users.only("username", "department").get(username=called("ann"))
    other = users.defer("custom_fields").get(username=called("ann"))
    return [row.department, row.job_title, other.custom_fields]


@step
def expressions():
    rows = mine(email__gt="").annotate(
        label=Concat(Upper("department"), Value("/"), Lower("username")),
        size=Length("job_title") + F("failed_login_attempts"),
        year=ExtractYear("hire_date"),
        month=TruncMonth("hire_date"),
        kind=Case(When(department="", then=Value("none")), default=Coalesce("department", Value("?"))),
        led=Exists(users.filter(manager=OuterRef("pk"))),
        first=Subquery(users.filter(manager=OuterRef("pk")).order_by("username").values("username")[:1]),
    )
    fields = ["label", "size", "year", "month", "kind", "led", "first"]
    return list(rows.order_by("username").values_list(*fields))


@step
def aggregated():
    return mine(email__gt="").aggregate(
        Count("id"), Sum("failed_login_attempts"), Avg("failed_login_attempts"), Max("hire_date"),
        ops=Count("id", filter=Q(department="Ops")), managers=Count("manager", distinct=True),
        list=StringAgg("department", "|", ordering="username"), years=ArrayAgg("hire_date__year", distinct=True),
    )


@step
def grouped_by_a_column():
    rows = mine(email__gt="").values("department").annotate(n=Count("id"), most=Max("failed_login_attempts"))
    return list(rows.filter(n__gte=1).order_by("department").values_list("department", "n", "most"))


@step
def counted_by_a_manager():
    rows = mine(manager__isnull=False).values("manager__username").annotate(n=Count("id")).order_by("manager__username")
    return [[short(r["manager__username"]), r["n"]] for r in rows]


@step
def each_with_a_count():
    """Django groups by the primary key alone where it manages the table."""
    rows = mine(email__gt="").annotate(n=Count("subordinates"), g=Count("groups", distinct=True)).order_by("username")
    return [[short(r.username), r.n, r.g, r.department, r.custom_fields] for r in rows]


@step
def each_with_a_count_and_relations():
    rows = mine(email__gt="").select_related("manager").annotate(n=Count("subordinates")).filter(n__gt=0).order_by("-n")
    return [[short(r.username), r.n, short(r.manager and r.manager.username)] for r in rows]


@step
def pages_with_a_count():
    rows = mine(email__gt="").annotate(n=Count("subordinates")).order_by("-n", "username")
    return [rows.count(), [short(r.username) for r in rows[1:4]], rows.filter(n=2).exists()]


@step
def windows():
    place = Window(RowNumber(), partition_by=F("department"), order_by=F("username").asc())
    rows = mine(email__gt="").annotate(place=place).order_by("department", "place")
    best = mine(email__gt="").annotate(place=place).filter(place=1)
    return [[r.department, r.place, short(r.username)] for r in rows] + [names(best)]


@step
def combined():
    ops, sales = mine(department="Ops"), mine(department="Sales")
    both = ops.union(sales).order_by("username").values_list("username", flat=True)
    return [
        [short(name) for name in both],
        names(mine(email__gt="").difference(ops)),
        names(mine(email__gt="").intersection(sales)),
    ]


@step
def within_queries():
    bosses = users.filter(manager__isnull=True).values("id")
    return [
        names(mine(manager__in=bosses)),
        names(mine(pk__in=EnhancedUser.groups.through.objects.values("enhanceduser_id"))),
        Group.objects.filter(enhanced_users__in=mine()).distinct().count(),
        names(mine(~Exists(users.filter(manager=OuterRef("pk"))), email__gt="")),
    ]


@step
def raw_rows():
    rows = users.raw("SELECT * FROM main_enhanceduser WHERE username LIKE %s AND email > '' ORDER BY username", [f"%-{tag}"])
    return [shown(row) for row in rows][:2]


@step
def streamed():
    with transaction.atomic():
        rows = mine().order_by("username").iterator(chunk_size=3)
        return [short(row.username) for row in rows]


@step
def streamed_with_relations_beside_writes():
    found = []
    with transaction.atomic():
        for row in mine(email__gt="").order_by("username").prefetch_related("subordinates").iterator(chunk_size=2):
            users.filter(pk=row.pk).update(phone=f"s{len(row.subordinates.all())}")
            found.append(short(row.username))
    return [found, list(mine(email__gt="").order_by("username").values_list("phone", flat=True))]


@step
def streamed_without_a_transaction():
    return [short(name) for name in mine().order_by("username").values_list("username", flat=True).iterator(chunk_size=4)]


@step
def explained():
    return "Scan" in mine(department="Ops").explain()


# Writing.


@step
def saved_whole():
    row = get("bob")
    row.department, row.job_title, row.phone = "Whole", "Saved", "+1 555"
    row.custom_fields["more"] = [True, 1.5]
    row.email, row.first_name, row.is_active = "bob@else.org", "Bób", False
    row.save()
    return shown(get("bob"))


@step
def saved_whole_of_an_account():
    """One whose account was there before: its password and names are not ours to write, and are not changed."""
    row = users.get(username="ada")
    row.department, row.job_title, row.technician = f"Field {tag}", "Engineer", Technician.objects.get(employee_id="T1")
    row.save()
    return shown(users.get(username="ada"))


@step
def saved_with_a_password():
    row = get("cid")
    row.password, row.last_login = "pbkdf2$new", START
    row.save()
    found = shown(get("cid"))
    row.password, row.last_login = "", None
    row.save()
    return found


@step
def saved_by_insert_after_an_update_of_nothing():
    """An unsaved object with a key: UPDATE, of no row, then INSERT."""
    row = EnhancedUser(id=800_000 + int(tag), username=called("upserted"), date_joined=START)
    row.save()
    row.department = "Again"
    row.save()
    return [row.pk == get("upserted").pk, shown(get("upserted"))]


@step
def forced():
    row = EnhancedUser(id=900_000 + int(tag), username=called("forced"), date_joined=START)
    try:
        row.save(force_update=True)
    except Exception as error:
        found = steps.told(error)
    row.save(force_insert=True)
    row.save(force_update=True, update_fields=["department"])
    return [found, names(mine(username__startswith="forced"))]


@step
def updated_by_expressions():
    return [
        mine(email__gt="").update(failed_login_attempts=F("failed_login_attempts") + 1),
        mine(username=called("ann")).update(job_title=Concat(F("department"), Value("!"))),
        mine(manager__username=called("boss")).update(phone="led"),
        mine(department="Nothing").update(phone="none"),
        mine(username=called("eve")).update(manager=Subquery(users.filter(username=called("ann")).values("id")[:1])),
        mine(username=called("dan")).update(custom_fields={"new": None}),
        sorted(mine(email__gt="").values_list("username", "failed_login_attempts", "job_title", "phone")),
        names(users.get(username=called("ann")).subordinates.all()),
    ]


@step
def bulk_updated():
    rows = list(mine(username__startswith="bulk").order_by("username"))
    for n, row in enumerate(rows):
        row.department, row.custom_fields, row.hire_date = f"D{n}", {"n": n}, datetime.date(2026, 1, 1 + n)
        row.employee_id = called(f"B{n}") if n % 2 else None
    count = users.bulk_update(rows, ["department", "custom_fields", "hire_date", "employee_id"], batch_size=4)
    return [count, list(mine(username__startswith="bulk").order_by("username").values_list("department", "custom_fields", "employee_id"))]


@step
def unique_values_are_kept():
    found = []
    for change in [{"username": called("ann")}, {"employee_id": get("ann").employee_id}]:
        try:
            with transaction.atomic():
                mine(username=called("dan")).update(**change)
        except Exception as error:
            found.append(steps.told(error))
    return found


@step
def a_technician_is_one_users():
    second = Technician.objects.get(employee_id="T2")
    mine(username=called("ann")).update(technician=second)
    try:
        with transaction.atomic():
            make("rival", technician=second)
    except Exception as error:
        found = steps.told(error)
    back = short(Technician.objects.select_related("user_account").get(employee_id="T2").user_account.username)
    mine(username=called("ann")).update(technician=None)
    return [found, back]


@step
def a_duplicate_is_refused():
    make("ann")


@step
def a_null_is_refused():
    mine(username=called("ann")).update(department=None)


@step
def a_check_is_kept():
    mine(username=called("ann")).update(failed_login_attempts=F("failed_login_attempts") - 1000)


@step
def a_value_too_long_is_refused():
    mine(username=called("ann")).update(phone="9" * 21)


@step
def a_value_of_another_type_is_refused():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE main_enhanceduser SET hire_date = %s WHERE username = %s", ["not a day", called("ann")])


@step
def one_of_none():
    users.get(username=called("nobody"))


# Groups and permissions.


@step
def groups_added_removed_set():
    row = get("ann")
    permission = list(Permission.objects.order_by("id"))
    row.groups.add(*groups("Sales", "Support"))
    row.groups.add(*groups("Support", "Management"))
    found = [sorted(g.name for g in row.groups.all())]
    row.groups.remove(*groups("Support"))
    found.append(sorted(g.name for g in row.groups.all()))
    row.groups.set(groups("Support", "Management"))
    found.append(sorted(g.name for g in row.groups.all()))
    row.user_permissions.set(permission)
    row.user_permissions.remove(permission[0])
    found.append([p.name for p in row.user_permissions.all()])
    return found + [names(groups("Management")[0].enhanced_users.filter(username__endswith=f"-{tag}"))]


@step
def groups_from_the_other_side():
    group = groups("Sales")[0]
    group.enhanced_users.add(get("bob"), get("cid"))
    group.enhanced_users.create(username=called("joined"), date_joined=START)
    group.enhanced_users.remove(get("bob"))
    return names(group.enhanced_users.filter(username__endswith=f"-{tag}"))


@step
def groups_are_filtered_and_counted():
    return [
        names(mine(groups__name="Support")),
        names(mine(groups__name__in=["Sales", "Support"]).distinct()),
        sorted(mine(groups__isnull=False).values_list("groups__name").annotate(Count("id"))),
        list(Group.objects.annotate(n=Count("enhanced_users", filter=Q(enhanced_users__username__endswith=f"-{tag}"))).order_by("name").values_list("name", "n")),
    ]


@step
def groups_cleared():
    get("cid").groups.clear()
    return [get("cid").groups.count(), get("ann").groups.count()]


@step
def a_membership_twice_is_refused():
    through = EnhancedUser.groups.through
    through.objects.create(enhanceduser=get("ann"), group=groups("Support")[0])


@step
def a_membership_changed():
    through = EnhancedUser.groups.through
    changed = through.objects.filter(enhanceduser=get("ann"), group__name="Support").update(group=groups("Sales")[0])
    return [changed, sorted(g.name for g in get("ann").groups.all())]


# Locks.


@step
def locked():
    with transaction.atomic():
        rows = users.select_for_update().filter(username__in=[called("ann"), called("bob")]).order_by("username")
        found = [names(rows)]
        found.append(names(mine(email__gt="").select_related("manager").select_for_update(of=("self",))))
        found.append(names(mine(manager__isnull=False).select_related("manager").select_for_update(of=("self", "manager"))))
        found.append(names(mine(department="Ops").select_for_update(no_key=True)))
        found.append(short(users.select_for_update(nowait=True).get(username=called("ann")).username))
        found.append(names(mine(email__gt="").order_by("username").select_for_update(skip_locked=True)[:2]))
    return found


@step
def locked_out():
    found = []
    with transaction.atomic(using="other"):
        held = users.using("other").select_for_update().get(username=called("ann"))
        with transaction.atomic():
            chosen = mine(username__in=[called("ann"), called("bob"), called("cid")])
            found.append(names(chosen.select_for_update(skip_locked=True)))
            found.append(names(chosen.select_for_update(skip_locked=True, no_key=True)))
        for locking in [dict(nowait=True), dict(nowait=True, no_key=True), dict(nowait=True, of=("self",))]:
            try:
                with transaction.atomic():
                    list(mine(username=called("ann")).select_for_update(**locking))
            except Exception as error:
                found.append(steps.told(error))
        held.phone = "held"
        held.save(using="other", update_fields=["phone"])
    return found + [get("ann").phone]


@step
def locked_outside_of_a_transaction():
    list(mine().select_for_update())


@step
def queue_of_workers():
    """Each takes the first row that nobody holds."""
    taken = []
    with transaction.atomic(using="other"):
        first = users.using("other").select_for_update(skip_locked=True).filter(username__startswith="bulk", username__endswith=f"-{tag}")
        taken.append(short(first.order_by("username").first().username))
        with transaction.atomic():
            second = users.select_for_update(skip_locked=True).filter(username__startswith="bulk", username__endswith=f"-{tag}")
            taken.append(short(second.order_by("username").first().username))
    return taken


@step
def an_update_that_waits():
    change = ("UPDATE main_enhanceduser SET failed_login_attempts = 100 WHERE username = %s", [called("dan")])
    with Meanwhile(url, change) as other:
        count = mine(username=called("dan")).update(failed_login_attempts=F("failed_login_attempts") + 1)
    return [other.waited_for, count, get("dan").failed_login_attempts]


@step
def an_update_that_waits_and_finds_nothing():
    change = ("UPDATE main_enhanceduser SET department = 'Taken' WHERE username = %s", [called("eve")])
    department = get("eve").department
    with Meanwhile(url, change) as other:
        count = mine(username=called("eve"), department=department).update(phone="mine")
    return [other.waited_for, count, get("eve").phone]


@step
def a_delete_that_waits():
    make("waited")
    change = ("UPDATE main_enhanceduser SET department = 'Kept' WHERE username = %s", [called("waited")])
    with Meanwhile(url, change) as other:
        count = mine(username=called("waited"), department="")._raw_delete("default")
    return [other.waited_for, count, names(mine(department="Kept"))]


@step
def a_lock_that_waits():
    change = ("UPDATE main_enhanceduser SET phone = 'before' WHERE username = %s", [called("dan")])
    with Meanwhile(url, change) as other, transaction.atomic():
        row = users.select_for_update().get(username=called("dan"))
        seen = row.phone
        row.phone = "after"
        row.save(update_fields=["phone"])
    return [other.waited_for, seen, get("dan").phone]


# Transactions.


@step
def savepoints():
    found = []
    with transaction.atomic():
        make("outer")
        try:
            with transaction.atomic():
                make("inner")
                make("ann")
        except Exception as error:
            found.append(steps.told(error))
        with transaction.atomic():
            make("second")
        point = transaction.savepoint()
        mine(username=called("second")).update(phone="gone")
        transaction.savepoint_rollback(point)
    return found + [names(mine(username__in=[called(n) for n in ["outer", "inner", "second"]])), get("second").phone]


@step
def rolled_back():
    try:
        with transaction.atomic():
            make("undone", manager=get("ann"))
            mine(email__gt="").update(department="Undone")
            get("ann").groups.add(*groups("Support"))
            raise RuntimeError("no")
    except RuntimeError:
        return [mine(department="Undone").count(), mine(username=called("undone")).exists()]


@step
def repeatable_read():
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = mine(department="Seen").count()
        users.using("other").filter(username=called("outer")).update(department="Seen")
        return [before, mine(department="Seen").count(), mine(username=called("second")).update(department="Mine")]


@step
def a_manager_who_is_not_there():
    """Found at COMMIT: all foreign keys of Django's are deferred."""
    with transaction.atomic():
        mine(username=called("dan")).update(manager_id=77_777_777)
        assert get("dan").manager_id == 77_777_777


@step
def a_manager_who_is_not_there_is_found_when_asked():
    found = []
    with transaction.atomic():
        point = transaction.savepoint()
        mine(username=called("dan")).update(manager_id=77_777_777)
        try:
            connection.check_constraints()
        except Exception as error:
            found.append(steps.told(error))
        transaction.savepoint_rollback(point)
    return found + [short(get("dan").manager.username)]


@step
def a_manager_comes_later():
    with transaction.atomic():
        make("early", manager_id=600_000 + int(tag))
        users.create(id=600_000 + int(tag), username=called("late"), date_joined=START)
    return [short(get("early").manager.username), names(get("late").subordinates.all())]


@step
def a_membership_of_a_user_who_comes_later():
    through = EnhancedUser.groups.through
    with transaction.atomic():
        through.objects.create(enhanceduser_id=610_000 + int(tag), group=groups("Sales")[0])
        users.create(id=610_000 + int(tag), username=called("member"), date_joined=START)
    return [g.name for g in get("member").groups.all()]


@step
def a_membership_of_nobody():
    with transaction.atomic():
        EnhancedUser.groups.through.objects.create(enhanceduser_id=77_777_777, group=groups("Sales")[0])


@step
def a_membership_of_a_group_that_is_not_there():
    with transaction.atomic():
        EnhancedUser.groups.through.objects.create(enhanceduser=get("ann"), group_id=77_777)


@step
def a_referenced_manager_is_deleted_past_the_collector():
    with transaction.atomic():
        mine(username=called("head"))._raw_delete("default")


@step
def tables_are_created_again():
    with connection.schema_editor() as editor:
        editor.create_model(EnhancedUser)


# Deleting.


@step
def deleted_with_all_that_hangs_on_it():
    head = get("head")
    head.groups.add(*groups("Sales", "Support"))
    counts = head.delete()
    return [counts, names(mine(manager__isnull=True, email__gt="")), mine(username=called("head")).exists()]


@step
def deleted_as_a_set():
    return [mine(username__startswith="bulk").delete(), mine(username__startswith="bulk").count(), mine(department="Nothing").delete()]


@step
def made_again_under_a_freed_name():
    make("head", employee_id=called("E1"), email="again@example.org")
    return shown(get("head"))


@step
def all_at_the_end():
    return [shown(row) for row in mine().order_by("username")]


def before():
    global ticks
    ticks = 0


def after():
    for alias in ["default", "other"]:
        assert connections[alias].connection is None or not connections[alias].in_atomic_block


steps.run(steps.choice(chosen), before, after)

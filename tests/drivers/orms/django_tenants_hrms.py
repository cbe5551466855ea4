"""A personnel system on django-tenants, a schema for each tenant: prints what it was answered.

    django_tenants_hrms.py DRIVER URL TAG only:…|but:…   makes steps; rows of other tags are left alone"""

import datetime
import decimal
import json
import sys
import threading
import time
import urllib.parse
import uuid

import steps

how, url, tag, chosen = sys.argv[1:]
psycopg = sys.modules["psycopg"]
if how == "psycopg2":
    # Django takes the newer driver if it finds it.
    sys.modules["psycopg"] = None

import django
from django.conf import settings

place = urllib.parse.urlsplit(url)
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django_tenants.postgresql_backend",
            "NAME": place.path[1:],
            "USER": place.username,
            "PASSWORD": place.password,
            "HOST": place.hostname,
            "PORT": place.port,
        }
    },
    DATABASE_ROUTERS=["django_tenants.routers.TenantSyncRouter"],
    SHARED_APPS=["django_tenants", "django.contrib.contenttypes", "hrms.tenants.apps.Tenants"],
    TENANT_APPS=["hrms.employees.apps.Employees"],
    INSTALLED_APPS=["django_tenants", "django.contrib.contenttypes", "hrms.tenants.apps.Tenants", "hrms.employees.apps.Employees"],
    TENANT_MODEL="tenants.Tenant",
    TENANT_DOMAIN_MODEL="tenants.Domain",
    ROOT_URLCONF="hrms",
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
)
django.setup()
sys.modules["psycopg"] = psycopg

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone
from django_tenants.middleware.main import TenantMainMiddleware
from django_tenants.utils import schema_context, tenant_context

from hrms.employees.models import Attendance, Department, Employee, HolidayLocation
from hrms.tenants.models import Domain, Tenant
from steps import base, step

ACME, GLOBEX = "acme_corp", "globex_inc"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
ticks = 0


def now():
    """Time passes as steps do."""
    global ticks
    ticks += 1
    return START + datetime.timedelta(days=int(tag), seconds=ticks)


timezone.now = now


def called(name):
    return f"{name}-{tag}"


def key(name, tenant=None):
    """The id of a row, the same wherever the program runs."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{tenant or connection.schema_name} {called(name)}")


def department(name, **more):
    return Department.objects.create(id=key(name), code=called(name), name=name, **more)


def employee(name, **more):
    joined = datetime.date(2025, 1, 1)
    return Employee.objects.create(
        id=key(name), user_id=key(name), employee_id=called(name), date_of_joining=joined, **more
    )


def codes(rows):
    return [row.code.removesuffix(f"-{tag}") for row in rows]


def mine(model=Department):
    named = "code" if model is Department else "employee_id"
    return model.objects.filter(**{f"{named}__endswith": f"-{tag}"})


def in_both(function):
    found = {}
    for tenant in [ACME, GLOBEX]:
        with schema_context(tenant):
            found[tenant] = function(tenant)
    return found


@base
def the_same_codes_in_two_tenants():
    def make(tenant):
        sales = department("SALES", description=f"of {tenant}")
        department("ENG", parent=sales)
        boss = employee("boss", department=sales, bio=f"of {tenant}")
        for number in range(3 if tenant == ACME else 2):
            employee(f"e{number}", department=sales, reporting_manager=boss)
        return [mine().count(), mine(Employee).count()]

    return in_both(make)


@step
def requests_of_two_domains():
    """By the middleware, as a server does it."""

    def view(request):
        rows = mine(Employee).select_related("department").order_by("employee_id")
        return HttpResponse(
            json.dumps([connection.schema_name, request.tenant.name, [[row.bio, row.department.code] for row in rows]])
        )

    serve = TenantMainMiddleware(view)
    hosts = ["acme.hrms.example", "globex.hrms.example", "acme.hrms.example"]
    found = [json.loads(serve(RequestFactory().get("/", HTTP_HOST=host)).content) for host in hosts]
    connection.set_schema_to_public()
    return found


@step
def a_domain_of_nobody():
    return str(TenantMainMiddleware(lambda request: None)(RequestFactory().get("/", HTTP_HOST="nobody.hrms.example")))


@step
def lists_and_counts():
    return in_both(
        lambda _: [
            codes(mine().order_by("-code")),
            list(mine().annotate(n=Count("employees")).order_by("code").values_list("name", "n")),
            mine(Employee).filter(Q(department__code=called("SALES")) & ~Q(bio="")).values_list("bio", flat=True)[0],
            mine(Employee).aggregate(n=Count("id"), last=Max("employee_id"), places=Count("department", distinct=True)),
            mine().filter(Exists(Employee.objects.filter(department=OuterRef("pk"), bio__gt=""))).count(),
            mine(Employee).exclude(reporting_manager=None).values("reporting_manager__bio").annotate(n=Count("id"))[0],
        ]
    )


@step
def relations():
    def look(_):
        sales = mine().prefetch_related(Prefetch("employees", Employee.objects.order_by("employee_id")), "parts").get(code=called("SALES"))
        boss = mine(Employee).get(employee_id=called("boss"))
        return [[e.employee_id for e in sales.employees.all()], codes(sales.parts.all()), boss.reports.count()]

    return in_both(look)


@step
def a_number_that_the_tenant_has():
    with schema_context(ACME):
        Employee.objects.create(user_id=uuid.uuid4(), employee_id=called("boss"), date_of_joining="2025-01-01")


@step
def a_code_that_the_tenant_has_within_a_transaction():
    with schema_context(GLOBEX), transaction.atomic():
        try:
            with transaction.atomic():
                Department.objects.create(code=called("SALES"), name="again")
        except DatabaseError as error:
            first = steps.told(error)
        return [first, department("AFTER").name]


@step
def whole_rows_are_saved():
    def save(tenant):
        row = mine(Employee).get(employee_id=called("e1"))
        row.employment_status, row.metadata = "active", {"of": tenant, "list": [1, None]}
        row.save()
        mine().filter(code=called("ENG")).update(description=F("name"), is_active=False)
        row.refresh_from_db()
        return [row.metadata, str(row.updated_at), mine().get(code=called("ENG")).description]

    return in_both(save)


@step
def get_or_create_and_update_or_create():
    def both(tenant):
        made = [
            Department.objects.get_or_create(code=called("OPS"), defaults={"name": "made", "id": key("OPS")})[1],
            Department.objects.get_or_create(code=called("OPS"), defaults={"name": "again"})[1],
            Department.objects.update_or_create(code=called("OPS"), defaults={"name": f"updated in {tenant}"})[1],
            Department.objects.update_or_create(code=called("HR"), defaults={"name": "made", "id": key("HR")})[1],
        ]
        return [made, list(mine().filter(code__in=[called("OPS"), called("HR")]).order_by("code").values_list("name", flat=True))]

    return in_both(both)


@step
def bulk():
    def load(tenant):
        rows = [Department(id=key(f"bulk{n}"), code=called(f"bulk{n}"), name=f"{n}") for n in range(5)]
        Department.objects.bulk_create(rows)
        Department.objects.bulk_create(rows + [Department(id=key("bulk5"), code=called("bulk5"), name="5")], ignore_conflicts=True)
        Department.objects.bulk_create(
            [Department(id=key("other"), code=called("bulk0"), name=f"upserted in {tenant}")],
            update_conflicts=True,
            unique_fields=["code"],
            update_fields=["name"],
        )
        for row in rows[1:3]:
            row.description = f"row {row.name}"
        Department.objects.bulk_update(rows[1:3], ["description"])
        bulk = mine().filter(code__startswith="bulk").order_by("code")
        return [list(bulk.values_list("name", "description")), bulk.in_bulk([key("bulk3")])[key("bulk3")].name]

    return in_both(load)


@step
def children_of_a_row_that_goes():
    def leave(tenant):
        row = mine(Employee).get(employee_id=called("e0"))
        for day in [1, 2]:
            Attendance.objects.create(id=key(f"day{day}"), employee=row, date=f"2026-01-0{day}", total_hours=decimal.Decimal("7.50"))
        before = Attendance.objects.filter(employee=row).aggregate(n=Count("id"), hours=Max("total_hours"))
        return [before, row.delete(), Attendance.objects.filter(employee_id=key("e0")).count()]

    return in_both(leave)


@step
def ids_that_every_tenant_counts_for_itself():
    def count(_):
        made = [HolidayLocation.objects.create(holiday_id=key(f"h{n}"), location_id=key("l")) for n in range(3)]
        found = HolidayLocation.objects.filter(location_id=key("l")).order_by("id")
        return [[row.pk for row in made] == [row.pk for row in found], found.count()]

    return in_both(count)


@step
def one_tenant_after_the_other_in_a_transaction():
    with transaction.atomic():
        with schema_context(ACME):
            mine().filter(code=called("SALES")).update(cost_center="acme's")
            with schema_context(GLOBEX):
                mine().filter(code=called("SALES")).update(cost_center="globex'")
            after = mine().get(code=called("SALES")).cost_center
    return [after, in_both(lambda _: mine().get(code=called("SALES")).cost_center)]


@step
def a_transaction_over_both_is_given_up():
    try:
        with transaction.atomic():
            for tenant in [ACME, GLOBEX]:
                with schema_context(tenant):
                    mine().delete()
            raise RuntimeError("no")
    except RuntimeError:
        return in_both(lambda _: mine().count())


@step
def locks():
    def lock(_):
        with transaction.atomic():
            row = Department.objects.select_for_update().get(code=called("SALES"))
            row.description += " locked"
            row.save(update_fields=["description"])
            return row.description

    return in_both(lock)


@step
def a_cursor_of_the_server():
    return in_both(lambda _: codes(mine().order_by("code").iterator(chunk_size=2)))


@step
def two_tenants_at_the_same_time():
    """Each in a thread with a connection of its own."""
    found = {}
    ready = threading.Barrier(2)

    def work(tenant):
        with schema_context(tenant):
            for turn in range(20):
                ready.wait()
                mine().filter(code=called("SALES")).update(cost_center=f"{tenant} {turn}")
                found.setdefault(tenant, set()).add(mine().get(code=called("SALES")).cost_center == f"{tenant} {turn}")
        connection.close()

    threads = [threading.Thread(target=work, args=[tenant]) for tenant in [ACME, GLOBEX]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {tenant: sorted(right) for tenant, right in sorted(found.items())}


# What one tenant must not reach of the other.


@step
def a_row_of_the_other_tenant_by_its_id():
    with schema_context(ACME):
        others = key("boss", GLOBEX)
        return [
            Employee.objects.filter(pk=others).exists(),
            Employee.objects.filter(pk=others).update(bio="stolen"),
            Employee.objects.filter(pk=others).delete(),
            Department.objects.filter(employees=others).count(),
            Attendance.objects.filter(employee_id=others).count(),
        ]


@step
def a_row_of_the_other_tenant_saved_here():
    with schema_context(GLOBEX):
        row = mine(Employee).get(employee_id=called("boss"))
    with schema_context(ACME):
        row.bio = "moved"
        row.save(update_fields=["bio"])


@step
def everything_of_one_tenant_is_deleted():
    with schema_context(ACME):
        gone = mine(Employee).delete()
    return [gone, in_both(lambda _: mine(Employee).count())]


@step
def by_sql_of_its_own():
    def ask(_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM employees_department WHERE code LIKE %s", [f"%-{tag}"])
            here = cursor.fetchone()[0]
            cursor.execute("SELECT count(*) FROM globex_inc.employees_department WHERE code LIKE %s", [f"%-{tag}"])
            return [here, cursor.fetchone()[0]]

    return in_both(ask)


@step
def without_a_tenant():
    connection.set_schema_to_public()
    return mine().count()


@step
def without_a_tenant_nothing_is_written():
    connection.set_schema_to_public()
    return mine().update(name="everybody's")


# A tenant that comes while the others work.


def until_known(look):
    """A tenant's tables count as soon as somebody has looked: at most a second, and the statement is refused until then."""
    for _ in range(600):
        try:
            return look()
        except OperationalError as error:
            if steps.told(error).get("sqlstate") != "55000":
                raise
            time.sleep(0.1)
    raise TimeoutError("the tenant is not known yet")


@step
def a_tenant_is_made():
    schema = f"made_{tag}"
    with schema_context("public"):
        tenant = Tenant(id=key("tenant"), schema_name=schema, name=f"Made {tag}", slug=schema)
        tenant.save(verbosity=0)
        Domain.objects.create(domain=f"made-{tag}.hrms.example", tenant=tenant, is_primary=True)
    with tenant_context(tenant):
        none = until_known(mine().count)
        department("SALES", description="of the new one")
        employee("boss")
        found = [none, codes(mine()), mine(Employee).count(), mine().get(code=called("SALES")).description]
    return [found, in_both(lambda _: mine().filter(description="of the new one").count())]


@step
def the_new_tenant_is_asked_by_its_domain():
    def view(request):
        mine().filter(code=called("SALES")).update(name="by request")
        return HttpResponse(json.dumps([connection.schema_name, list(mine().values_list("name", flat=True))]))

    response = TenantMainMiddleware(view)(RequestFactory().get("/", HTTP_HOST=f"made-{tag}.hrms.example"))
    connection.set_schema_to_public()
    return json.loads(response.content)


@step
def all_at_the_end():
    return in_both(lambda _: [list(mine().order_by("code").values()), list(mine(Employee).order_by("employee_id").values("employee_id", "bio", "metadata"))])


def before():
    global ticks
    ticks = 0


def after():
    assert connection.connection is None or not connection.in_atomic_block
    connection.set_schema_to_public()


steps.run(steps.choice(chosen), before, after)

"""Django: migrations made and applied, the ORM, transactions, bulk writes, iterators."""

import datetime
import decimal
import io
import os
import sys
import tempfile
import uuid

import django
from django.conf import settings
from transcript import attempt, finish, say

folder = tempfile.mkdtemp()
os.makedirs(f"{folder}/shop/migrations")
for name in ("shop/__init__.py", "shop/migrations/__init__.py"):
    open(f"{folder}/{name}", "w").close()
sys.path.insert(0, folder)
MODELS = '''
from django.contrib.postgres.fields import ArrayField
from django.db import models

class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.TextField()
    class Meta:
        db_table = "countries"

class Customer(models.Model):
    id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=40, db_index=True)
    country = models.ForeignKey(Country, models.PROTECT, null=True)
    born = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    rate = models.FloatField(default=0)
    active = models.BooleanField(default=True)
    token = models.UUIDField(null=True)
    photo = models.BinaryField(null=True)
    data = models.JSONField(null=True)
    tags = ArrayField(models.TextField(), default=list)
    class Meta:
        db_table = "customers"
        constraints = [models.CheckConstraint(check=models.Q(balance__gte=0), name="not_negative")]

class Note(models.Model):
    body = models.TextField(unique=True)
    made = models.DateTimeField(auto_now_add=True)
    class Meta:
        db_table = "notes"

class Tag(models.Model):
    notes = models.ManyToManyField(Note)
    name = models.SlugField()
    class Meta:
        db_table = "note_tags"
'''
with open(f"{folder}/shop/models.py", "w") as file:
    file.write(MODELS)

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "CONN_MAX_AGE": 60,
    }},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    SECRET_KEY="not secret",
)
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, IntegrityError, connection, transaction  # noqa: E402
from django.db.models import Avg, Count, F, Max, Q, Sum, Value, Window  # noqa: E402
from django.db.models.functions import Concat, Lower, Rank, TruncMonth  # noqa: E402
from shop.models import Country, Customer, Note, Tag  # noqa: E402

TABLES = """note_tags_notes, note_tags, notes, customers, countries, auth_user_groups, auth_user_user_permissions,
  auth_group_permissions, auth_permission, auth_user, auth_group, django_session, django_content_type,
  django_migrations"""


def clean():
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLES} CASCADE")


def migrations():
    with open(os.devnull, "w") as quiet:
        call_command("makemigrations", "shop", stdout=quiet)
        call_command("migrate", stdout=quiet)
        call_command("migrate", stdout=quiet)
    say("tables", sorted(connection.introspection.table_names()))
    with connection.cursor() as cursor:
        say("columns", [tuple(c)[:2] for c in connection.introspection.get_table_description(cursor, "customers")])
        constraints = connection.introspection.get_constraints(cursor, "customers")
    say("constraints", sorted((c["columns"] or [], c["primary_key"], c["unique"], c["check"]) for c in constraints.values()))


MORE_OPERATIONS = '''
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("country", "area", models.IntegerField(default=7)),
        migrations.AlterField("customer", "rate", models.DecimalField(max_digits=9, decimal_places=3, null=True)),
        migrations.RenameField("note", "body", "text"),
        migrations.AddIndex("customer", models.Index(fields=["-born"], name="by_birth")),
        migrations.AlterUniqueTogether("note", {("text", "made")}),
    ]
'''

FILL_OPERATIONS = '''
from django.db import migrations

def fill(apps, editor):
    apps.get_model("shop", "Country").objects.create(code="it", name="Italy")

def empty(apps, editor):
    apps.get_model("shop", "Country").objects.all().delete()

class Migration(migrations.Migration):
    dependencies = [("shop", "0002_more")]
    operations = [migrations.RunPython(fill, empty)]
'''


def more_migrations():
    for name, operations in [("0002_more", MORE_OPERATIONS), ("0003_fill", FILL_OPERATIONS)]:
        with open(f"{folder}/shop/migrations/{name}.py", "w") as file:
            file.write(operations)
    for target in ["0002", "0001", "0003", "0001"]:
        with open(os.devnull, "w") as quiet:
            call_command("migrate", "shop", target, stdout=quiet)
        say(f"models at {target}", inspected())
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM countries")
            say(f"countries at {target}", cursor.fetchall())


def inspected():
    """The models that Django makes of the tables."""
    models = io.StringIO()
    call_command("inspectdb", "countries", "customers", "notes", "note_tags_notes", stdout=models)
    return models.getvalue()


def customer(key):
    return Customer(
        id=key, name=f"Name {key}", country_id="de" if key % 2 else "fr", born=datetime.date(1990, 1 + key % 12, 1),
        seen=datetime.datetime(2024, 5, key, tzinfo=datetime.timezone.utc), balance=decimal.Decimal(key) / 4,
        rate=key / 2, token=uuid.UUID(int=key), photo=bytes([key]), data={"k": key, "l": [1, {"m": None}]}, tags=[str(key)],
    )


def writes():
    Country.objects.bulk_create([Country("de", "Germany"), Country("fr", "France")])
    for key in (1, 2, 3):
        customer(key).save(force_insert=True)
    Customer.objects.bulk_create([customer(key) for key in range(4, 21)], batch_size=7)
    customer(3).save()
    found, made = Customer.objects.get_or_create(id=3, defaults={"name": "other"})
    say("get_or_create", (found.name, made))
    found, made = Customer.objects.update_or_create(id=21, defaults={"name": "new", "country_id": "fr"})
    say("update_or_create", (found.name, made))
    say("update", Customer.objects.filter(id=5).update(balance=F("balance") * 2, name=Concat(F("name"), Value("!"))))
    say("update all", Customer.objects.filter(active=True).update(rate=F("rate") + 1))
    people = list(Customer.objects.filter(id__in=[6, 7, 8]).order_by("id"))
    for person in people:
        person.tags.append("bulk")
    say("bulk_update", Customer.objects.bulk_update(people, ["tags"]))
    Customer.objects.bulk_create([customer(9), customer(22)], ignore_conflicts=True)
    say("deleted", Customer.objects.filter(id=22).delete())
    one = Customer.objects.select_related("country").get(pk=6)
    say("one", (one.name, one.country.name, one.born, one.seen, one.balance, one.token, bytes(one.photo), one.data, one.tags))


def identities():
    notes = [Note.objects.create(body=f"note {n}") for n in (1, 2)]
    say("ids", [note.pk for note in notes])
    say("bulk ids", [note.pk for note in Note.objects.bulk_create([Note(body="a"), Note(body="b")])])
    tag = Tag.objects.create(name="t")
    tag.notes.set(notes)
    say("many to many", sorted(tag.notes.values_list("body", flat=True)))
    user = User.objects.create_user("ann", "ann@example.org", "secret")
    user.groups.add(Group.objects.create(name="staff"))
    say("user", User.objects.filter(groups__name="staff").values_list("username", "is_active").get())


def queries():
    say("count", Customer.objects.count())
    say("page", list(Customer.objects.order_by("-id").values_list("id", flat=True)[3:7]))
    say("first", Customer.objects.order_by("name").first().pk)
    say("exists", Customer.objects.filter(name="Name 7").exists())
    say("aggregate", Customer.objects.aggregate(Sum("balance"), Avg("rate"), Max("born"), Count("country", distinct=True)))
    say("annotate", list(Customer.objects.values("country__name").annotate(n=Count("id"), total=Sum("balance")).order_by("country__name")))
    say("filter", list(Customer.objects.filter(Q(name__icontains="name 1") | Q(data__k=4)).order_by("id").values_list("id", flat=True)))
    say("related", list(Country.objects.filter(customer__balance__gt=4).distinct().order_by("code").values_list("code", flat=True)))
    say("prefetch", [(c.code, len(c.customer_set.all())) for c in Country.objects.prefetch_related("customer_set").order_by("code")])
    say("window", list(Customer.objects.annotate(r=Window(Rank(), partition_by="country", order_by=F("balance").desc()))
                       .order_by("r", "id").values_list("id", "r")[:5]))
    say("months", list(Customer.objects.annotate(m=TruncMonth("seen")).values("m").annotate(n=Count("id")).order_by("m").values_list("m", "n")))
    say("dates", list(Customer.objects.dates("born", "month"))[:3])
    say("lower", list(Customer.objects.annotate(l=Lower("name")).order_by("l").values_list("l", flat=True)[:3]))
    say("array", list(Customer.objects.filter(tags__contains=["bulk"]).order_by("id").values_list("id", flat=True)))
    say("json", list(Customer.objects.filter(data__l__0=1, id__lt=4).order_by("id").values_list("data__l__1", flat=True)))
    say("union", sorted(Customer.objects.filter(id=1).values_list("id").union(Customer.objects.filter(id=2).values_list("id"))))
    say("subquery", list(Customer.objects.filter(country__in=Country.objects.filter(name="France")).order_by("id").values_list("id", flat=True)[:4]))
    say("raw", [c.id for c in Customer.objects.raw("SELECT id FROM customers WHERE id < %s ORDER BY id", [4])])
    say("in_bulk", sorted(Customer.objects.in_bulk([1, 2, 99])))


def transactions():
    try:
        with transaction.atomic():
            Customer.objects.filter(id=1).update(name="gone")
            try:
                with transaction.atomic():
                    Customer.objects.create(id=2, name="double")
            except IntegrityError as error:
                say("integrity", error.__cause__.sqlstate if hasattr(error.__cause__, "sqlstate") else error.__cause__.pgcode)
            say("inside", Customer.objects.get(id=1).name)
            raise ValueError("undo")
    except ValueError:
        say("outside", Customer.objects.get(id=1).name)
    with transaction.atomic():
        person = Customer.objects.select_for_update().get(id=4)
        person.balance += 1
        person.save(update_fields=["balance"])
    say("locked", Customer.objects.get(id=4).balance)
    try:
        Customer.objects.filter(id=4).update(balance=-1)
    except IntegrityError as error:
        say("check", str(error).splitlines()[0])
    try:
        Customer.objects.extra(select={"x": "1/0"}).first()
    except DatabaseError as error:
        say("division", str(error).splitlines()[0])


def iterators():
    with transaction.atomic():
        say("iterator", [c.id for c in Customer.objects.order_by("id").iterator(chunk_size=6)])


def main():
    attempt(clean)
    for step in [migrations, more_migrations, writes, identities, queries, transactions, iterators]:
        attempt(step)
    attempt(clean)
    finish()


main()

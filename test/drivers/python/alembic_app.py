"""Alembic: migrations found by comparing models with the database, applied, found again, taken back."""

import os
import tempfile

from alembic import command
from alembic.autogenerate import compare_metadata, render_python_code, produce_migrations
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    BigInteger, Boolean, CheckConstraint, Column, Computed, Date, DateTime, Enum, ForeignKey, Identity, Index, Integer,
    MetaData, Numeric, String, Table, Text, UniqueConstraint, create_engine, func, inspect, text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from transcript import URL, attempt, finish, say

ENGINE = create_engine(URL.replace("postgres://", "postgresql+psycopg2://"))


def models(version):
    """The application's models, in its first release and in its second."""
    meta = MetaData()
    Table("countries", meta, Column("code", String(2), primary_key=True), Column("name", Text, nullable=False, comment="in English"))
    customers = Table(
        "customers", meta,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("name", String(40 if version == 1 else 80), nullable=False, index=True),
        Column("country", ForeignKey("countries.code", name="home")),
        Column("born", Date), Column("seen", DateTime(timezone=True), server_default=func.now()),
        Column("balance", Numeric(12, 2), server_default=text("0")),
        Column("token", UUID), Column("tags", ARRAY(Text)), Column("data", JSONB),
        Column("level", Enum("low", "high", name="level")),
        CheckConstraint("balance >= 0", name="not_negative"),
    )
    Table(
        "orders", meta,
        Column("customer_id", ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True),
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("item", String), Column("amount", Numeric(10, 2)),
        Column("doubled", Numeric, Computed("amount * 2", persisted=True)),
        UniqueConstraint("customer_id", "item", name="once"),
    )
    Table("notes", meta, Column("id", Integer, Identity(), primary_key=True), Column("body", Text, unique=version == 1))
    if version == 2:
        customers.append_column(Column("active", Boolean, server_default=text("true"), nullable=False))
        Index("by_birth", customers.c.born.desc(), postgresql_where=customers.c.born.isnot(None))
    return meta


def context(connection):
    return MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})


def clean():
    with ENGINE.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS notes, orders, customers, countries, alembic_version CASCADE"))
        connection.execute(text("DROP TYPE IF EXISTS level"))


def shown(difference):
    """A difference without the models that it is about."""
    if isinstance(difference, list):
        return [shown(part) for part in difference]
    return [part if isinstance(part, (str, type(None))) else getattr(part, "name", None) or str(part) for part in difference]


def differences(version):
    with ENGINE.connect() as connection:
        return sorted(map(shown, compare_metadata(context(connection), models(version))), key=str)


def generate():
    say("missing", differences(1))
    models(1).create_all(ENGINE)
    say("made", differences(1))
    say("changed", differences(2))
    with ENGINE.connect() as connection:
        code = render_python_code(produce_migrations(context(connection), models(2)).upgrade_ops)
        say("code", sorted(code.splitlines()))


ENVIRONMENT = """
from alembic import context
from alembic_app import ENGINE
with ENGINE.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""

FIRST = '''
revision, down_revision = "1", None
from alembic import op
import sqlalchemy as sa

def upgrade():
    op.add_column("customers", sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.alter_column("customers", "name", type_=sa.String(80), existing_nullable=False)
    op.create_index("by_birth", "customers", [sa.text("born DESC")], postgresql_where=sa.text("born IS NOT NULL"))

def downgrade():
    op.drop_index("by_birth", "customers")
    op.alter_column("customers", "name", type_=sa.String(40), existing_nullable=False)
    op.drop_column("customers", "active")
'''

SECOND = '''
revision, down_revision = "2", "1"
from alembic import op
import sqlalchemy as sa

def upgrade():
    op.drop_constraint("notes_body_key", "notes")
    op.create_check_constraint("some", "orders", "amount > 0")
    countries = sa.table("countries", sa.column("code"), sa.column("name"))
    op.bulk_insert(countries, [{"code": "de", "name": "Germany"}, {"code": "fr", "name": "France"}])
    op.execute("INSERT INTO customers (id, name, country) SELECT g, 'name ' || g, 'de' FROM generate_series(1, 9) g")

def downgrade():
    op.execute("DELETE FROM customers")
    op.execute("DELETE FROM countries")
    op.drop_constraint("some", "orders")
    op.create_unique_constraint("notes_body_key", "notes", ["body"])
'''


def revisions():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/versions")
        for name, body in [("env.py", ENVIRONMENT), ("versions/1.py", FIRST), ("versions/2.py", SECOND)]:
            with open(f"{folder}/{name}", "w") as file:
                file.write(body)
        config = Config()
        config.set_main_option("script_location", folder)
        for steps in [("upgrade", "1"), ("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "head")]:
            getattr(command, steps[0])(config, steps[1])
            with ENGINE.connect() as connection:
                say(" ".join(steps), context(connection).get_current_heads())
                say("customers", connection.execute(text("SELECT count(*), min(name), bool_and(active) FROM customers")).all())
        say("left", differences(2))
        command.downgrade(config, "base")
    say("back", differences(1))


def operations():
    with ENGINE.begin() as connection:
        op = Operations(context(connection))
        op.rename_table("notes", "remarks")
        op.alter_column("remarks", "body", new_column_name="words", nullable=False, server_default="none")
        op.create_table_comment("remarks", "what was said")
        op.bulk_insert(Table("remarks", MetaData(), Column("words", Text)), [{"words": "a"}, {"words": "b"}])
        op.rename_table("remarks", "notes")
    inspector = inspect(ENGINE)
    columns = inspector.get_columns("notes")
    say("columns", [(c["name"], str(c["type"]), c["nullable"], c["default"], c.get("identity")) for c in columns])
    say("comment", inspector.get_table_comment("notes"))
    say("unique", inspector.get_unique_constraints("notes"))
    say("computed", inspector.get_columns("orders")[-1].get("computed"))
    say("enums", inspector.get_enums())


def main():
    for step in [clean, generate, revisions, operations, clean]:
        attempt(step)
    finish()


if __name__ == "__main__":
    main()

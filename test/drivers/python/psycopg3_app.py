"""psycopg 3: pipeline mode, prepared statements, binary, COPY, async."""

import asyncio
import datetime
import decimal
import uuid

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from transcript import CLEANUP, SCHEMA, URL, attempt, finish, say


def failure(label, connection, *query, **options):
    try:
        with connection.transaction():
            say(label, connection.execute(*query, **options).fetchall())
    except psycopg.Error as error:
        say(label, (type(error).__name__, error.sqlstate, error.diag.message_primary))


def person(key):
    return (
        key,
        f"name {key} é",
        "fr",
        datetime.date(2000, 1, 1) + datetime.timedelta(days=key),
        datetime.datetime(2024, 6, 1, 8, 0, key, tzinfo=datetime.timezone.utc),
        decimal.Decimal(key) / 4,
        key / 7,
        key % 3 == 0,
        uuid.UUID(int=key),
        bytes([key, 0, 255]),
        ["x", None, f"{key}"],
        [key] * 3,
        Jsonb({"k": key}),
        datetime.timedelta(hours=key),
    )


def crud(connection):
    for statement in SCHEMA:
        connection.execute(statement)
    connection.commit()
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO countries VALUES (%s, %s)", [("de", "Germany"), ("fr", "France")])
        say("countries", cursor.rowcount)
        row = ", ".join(["%s"] * 14)
        cursor.executemany(f"INSERT INTO customers VALUES ({row})", [person(k) for k in range(1, 31)])
        say("inserted", cursor.rowcount)
        cursor.executemany(
            "INSERT INTO orders (id, customer_id, amount) VALUES (%s, %s, %s) RETURNING id",
            [(n, c, n) for c in range(1, 11) for n in (1, 2)],
            returning=True,
        )
        ids = []
        while True:
            ids.append(cursor.fetchone())
            if not cursor.nextset():
                break
        say("executemany returning", ids)
    connection.commit()
    for binary in (False, True):
        with connection.cursor(binary=binary, row_factory=dict_row) as cursor:
            cursor.execute("SELECT * FROM customers WHERE id = %s", (7,))
            say("one", cursor.fetchone())
            say("columns", [(c.name, c.type_code, c.precision, c.scale) for c in cursor.description])
            cursor.execute("SELECT * FROM customers ORDER BY id DESC LIMIT %s", (3,))
            say("limit", cursor.fetchall())
            cursor.execute("SELECT country, count(*), avg(balance) FROM customers GROUP BY country")
            say("group", cursor.fetchall())
            cursor.execute("SELECT id FROM customers WHERE id = ANY(%s) ORDER BY id", ([3, 4, 5],))
            say("any", cursor.fetchall())
            cursor.execute("SELECT id FROM customers WHERE born > %s ORDER BY born LIMIT 2", (datetime.date(2000, 1, 9),))
            say("date", cursor.fetchall())
    query = sql.SQL("SELECT {} FROM {} WHERE id = {}").format(
        sql.Identifier("name"), sql.Identifier("customers"), sql.Literal(4)
    )
    say("composed", connection.execute(query).fetchone())
    connection.commit()


def prepared(connection):
    for key in range(1, 10):
        rows = connection.execute("SELECT name FROM customers WHERE id = %s", (key,), prepare=True).fetchall()
        say(f"prepared {key}", rows)
    for key in range(1, 10):
        done = connection.execute(
            "UPDATE customers SET rate = %s WHERE id = %s", (key * 1.5, key), prepare=True
        )
        say(f"prepared update {key}", (done.rowcount, done.statusmessage))
    for _ in range(7):
        connection.execute("SELECT count(*) FROM orders WHERE amount > %s", (1,)).fetchone()
    connection.commit()
    connection.execute("ALTER TABLE customers ADD COLUMN extra int DEFAULT 7")
    connection.commit()
    for _ in range(7):
        rows = connection.execute("SELECT id, extra FROM customers WHERE id = %s", (2,)).fetchall()
    say("after DDL", rows)
    connection.execute("ALTER TABLE customers DROP COLUMN extra")
    connection.commit()
    connection.execute("DEALLOCATE ALL")
    connection.commit()
    say("after deallocate", connection.execute("SELECT count(*) FROM customers").fetchone())


def pipelines(connection):
    with connection.pipeline() as pipeline:
        cursors = [
            connection.execute("SELECT id, name FROM customers WHERE id = %s", (key,)) for key in range(1, 12)
        ]
        total = connection.execute("SELECT count(*), sum(balance) FROM customers")
        connection.execute("INSERT INTO orders (id, customer_id, amount) VALUES (77, 3, 5)")
        pipeline.sync()
        say("pipelined", [cursor.fetchall() for cursor in cursors])
        say("total", total.fetchone())
    connection.commit()
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO orders (id, customer_id, amount) VALUES (78, 4, 5)")
            connection.execute("INSERT INTO orders (id, customer_id, amount) VALUES (78, 4, 5)")
            connection.execute("SELECT 1")
    except psycopg.errors.UniqueViolation as error:
        say("pipeline error", error.sqlstate)
    connection.rollback()
    say("undone", connection.execute("SELECT count(*) FROM orders WHERE id = 78").fetchone())
    connection.commit()


def transactions(connection):
    with connection.transaction():
        connection.execute("DELETE FROM orders WHERE customer_id = 1")
        try:
            with connection.transaction():
                connection.execute("DELETE FROM orders")
                raise ValueError("inner")
        except ValueError:
            say("inner undone", connection.execute("SELECT count(*) FROM orders").fetchone())
        with connection.transaction(force_rollback=True):
            connection.execute("UPDATE customers SET name = 'gone'")
    say("kept", connection.execute("SELECT count(*) FROM customers WHERE name = 'gone'").fetchone())
    connection.commit()
    failure("unique", connection, "INSERT INTO customers (id, name) VALUES (1, 'x')")
    failure("unique with parameters", connection, "INSERT INTO customers (id, name) VALUES (%s, %s)", (1, "x"))
    failure("missing", connection, "SELECT * FROM nowhere WHERE id = %s", (1,))
    failure("division", connection, "SELECT 10 / (id - 5) FROM customers WHERE id = %s", (5,), binary=True)
    failure("overflow", connection, "SELECT id FROM customers WHERE id = %s", (2**70,))
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    say("serializable", connection.execute("SELECT name FROM customers WHERE id = 2").fetchone())
    connection.commit()
    connection.isolation_level = None


def streams(connection):
    with connection.cursor("one shard") as cursor:
        cursor.execute("SELECT id FROM orders WHERE customer_id = 2 ORDER BY id")
        say("cursor of one shard", (cursor.fetchone(), cursor.fetchall()))
    connection.commit()
    with connection.cursor() as cursor:
        say("stream", [row for row in cursor.stream("SELECT id FROM customers ORDER BY id LIMIT 5")])
    connection.commit()


def server_cursors(connection):
    with connection.cursor("named") as cursor:
        cursor.execute("SELECT id FROM customers ORDER BY id")
        say("server cursor", (cursor.fetchone(), cursor.fetchmany(4), len(cursor.fetchall())))
    with connection.cursor("scrolling", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM orders WHERE customer_id = 3 ORDER BY id")
        cursor.scroll(1)
        say("scrolled", cursor.fetchall())
        cursor.scroll(0, mode="absolute")
        say("again", cursor.fetchone())
    connection.commit()


def copies(connection):
    with connection.cursor() as cursor:
        with cursor.copy("COPY customers (id, name) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "text"])
            for key in range(200, 250):
                copy.write_row((key, f"copied {key}"))
        say("binary copy", cursor.rowcount)
        with cursor.copy("COPY orders (id, customer_id, amount) FROM STDIN") as copy:
            for key in range(200, 250):
                copy.write_row((1, key, decimal.Decimal("2.50")))
        say("text copy", cursor.rowcount)
        with cursor.copy("COPY (SELECT id, name FROM customers WHERE id = 201) TO STDOUT") as copy:
            say("out", list(copy.rows()))
        with cursor.copy("COPY customers (id, name) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "text"])
            say("binary out", sorted(copy.rows()))
    connection.commit()
    try:
        with connection.cursor().copy("COPY customers (id, name) FROM STDIN") as copy:
            copy.write_row((300, "x"))
            raise RuntimeError("stop")
    except (RuntimeError, psycopg.errors.QueryCanceled) as error:
        say("broken off", type(error).__name__)
        connection.rollback()
    say("aborted copy", connection.execute("SELECT count(*) FROM customers WHERE id = 300").fetchone())
    connection.commit()


async def concurrent():
    async def one(number):
        async with await psycopg.AsyncConnection.connect(URL, autocommit=True) as connection:
            seen = []
            for key in range(1, 6):
                cursor = await connection.execute(
                    "SELECT %s::int, name FROM customers WHERE id = %s", (number, key)
                )
                seen.append(await cursor.fetchone())
            return seen

    say("async", await asyncio.gather(*(one(number) for number in range(4))))
    connection = await psycopg.AsyncConnection.connect(URL)
    task = asyncio.create_task(connection.execute("SELECT pg_sleep(10)"))
    await asyncio.sleep(0.3)
    connection.cancel()
    try:
        await task
    except psycopg.errors.QueryCanceled as error:
        say("cancelled", error.sqlstate)
    await connection.close()


def main():
    with psycopg.connect(URL) as connection:
        say("parameters", [connection.info.parameter_status(name) for name in (
            "client_encoding", "DateStyle", "integer_datetimes", "standard_conforming_strings",
            "TimeZone", "in_hot_standby", "is_superuser", "server_encoding")])
        for step in [crud, prepared, pipelines, transactions, streams, server_cursors, copies]:
            attempt(step, connection)
            connection.rollback()
        attempt(asyncio.run, concurrent())
        connection.execute(CLEANUP)
        connection.commit()
    autocommit = psycopg.connect(URL, autocommit=True)
    say("closed", autocommit.execute("SELECT 1; SELECT 2").fetchall())
    autocommit.close()
    finish()


main()

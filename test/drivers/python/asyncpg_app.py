"""asyncpg: binary everything, type introspection, cursors, COPY of records, a pool."""

import asyncio
import datetime
import decimal
import uuid

import asyncpg
from transcript import CLEANUP, SCHEMA, URL, attempt_async, finish, say

MOOD = [
    "DROP TABLE IF EXISTS moods",
    "DROP TYPE IF EXISTS mood, spot CASCADE",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE TYPE spot AS (x int, feeling mood)",
]


async def failure(label, connection, query, *values):
    try:
        async with connection.transaction():
            say(label, await connection.fetch(query, *values))
    except asyncpg.PostgresError as error:
        say(label, (type(error).__name__, error.sqlstate, error.message))


def person(key):
    return (
        key,
        f"name {key} ☃",
        "de",
        datetime.date(1980, 5, key),
        datetime.datetime(2024, 1, 1, key, tzinfo=datetime.timezone.utc),
        decimal.Decimal("1.10") * key,
        1 / key,
        key % 2 == 1,
        uuid.UUID(int=key * 10**30),
        bytes(range(key)),
        ["ä", None],
        [key, None],
        f'{{"n": {key}}}',
        datetime.timedelta(minutes=key),
    )


async def schema(connection):
    for statement in SCHEMA + MOOD:
        await connection.execute(statement)
    say("create", await connection.execute("CREATE TABLE moods (id int PRIMARY KEY, now mood, was mood[], at spot)"))
    await connection.executemany("INSERT INTO countries VALUES ($1, $2)", [("de", "Germany"), ("fr", "France")])


async def bulk(connection):
    marks = ", ".join(f"${n}" for n in range(1, 15))
    await connection.executemany(f"INSERT INTO customers VALUES ({marks})", [person(k) for k in range(1, 21)])
    await connection.executemany(
        "INSERT INTO orders VALUES ($1, $2, $3, $4, $5)",
        [(n, c, f"i{n}", decimal.Decimal(n), datetime.datetime(2024, 1, n)) for c in range(1, 21) for n in (1, 2, 3)],
    )


async def crud(connection):
    say("one", dict(await connection.fetchrow("SELECT * FROM customers WHERE id = $1", 5)))
    rows = await connection.fetch("SELECT * FROM customers ORDER BY id DESC LIMIT $1", 4)
    say("limit", [dict(row) for row in rows])
    say("value", await connection.fetchval("SELECT count(*) FROM customers"))
    say("any", await connection.fetch("SELECT id FROM customers WHERE id = ANY($1::int8[]) ORDER BY id", [7, 8, 9]))
    say("update", await connection.execute("UPDATE customers SET balance = balance * 2 WHERE id = $1", 3))
    say("update all", await connection.execute("UPDATE customers SET active = NOT active"))
    say("sum", await connection.fetchrow("SELECT sum(balance), min(born) FROM customers WHERE id > $1", 4))
    rows = await connection.fetch(
        """SELECT c.id, c.name, sum(o.amount) AS total FROM customers c JOIN orders o ON o.customer_id = c.id
           GROUP BY c.id ORDER BY total DESC, c.id LIMIT 3"""
    )
    say("top", rows)
    say("returning", await connection.fetchval("INSERT INTO notes (body) VALUES ($1) RETURNING id", "n"))
    say("status", await connection.execute("DELETE FROM orders WHERE customer_id = $1", 20))


async def insert_select(connection):
    many = await connection.fetch(
        "INSERT INTO orders (id, customer_id, amount) SELECT 50, 4, 1 UNION ALL SELECT 51, 4, 2 RETURNING id"
    )
    say("insert select", many)


async def types(connection):
    await connection.execute(
        "INSERT INTO moods VALUES (1, 'ok', '{sad,NULL,happy}', '(1,happy)'), (2, NULL, NULL, NULL)"
    )
    await connection.execute("INSERT INTO moods VALUES ($1, $2, $3, $4)", 3, "happy", ["ok"], (5, "sad"))
    say("enum", await connection.fetch("SELECT id, now FROM moods ORDER BY now, id"))
    say("arrays", await connection.fetch("SELECT id, was, at FROM moods ORDER BY id"))
    say("by mood", await connection.fetch("SELECT id FROM moods WHERE now = $1", "happy"))
    say("by moods", await connection.fetch("SELECT id FROM moods WHERE now = ANY($1::mood[]) ORDER BY id", ["ok", "happy"]))
    await connection.execute("ALTER TABLE customers ADD COLUMN mood mood, ADD COLUMN moods mood[], ADD COLUMN spot spot")
    await connection.executemany(
        "UPDATE customers SET mood = $2, moods = $3, spot = $4 WHERE id = $1",
        [(key, ["sad", "ok", "happy"][key % 3], ["ok", "sad"], (key, "happy")) for key in range(1, 9)],
    )
    for key in range(1, 9):
        say("sharded enum", await connection.fetchrow("SELECT mood, moods, spot FROM customers WHERE id = $1", key))
    say("enum order", await connection.fetch("SELECT id, mood FROM customers WHERE id < 9 ORDER BY mood, id"))
    say("all arrays", await connection.fetch("SELECT id, moods, spot FROM customers WHERE id < 9 ORDER BY id"))
    say("aggregated", await connection.fetch("SELECT mood, array_agg(id ORDER BY id) FROM customers WHERE id < 9 GROUP BY mood ORDER BY 1"))
    await connection.set_type_codec("jsonb", encoder=str, decoder=lambda text: ("json", text), schema="pg_catalog")
    say("codec", await connection.fetchval("SELECT data FROM customers WHERE id = 2"))
    say("record", await connection.fetchval("SELECT ROW(1, 'a', now() IS NULL)"))
    say("range", await connection.fetchval("SELECT int4range(1, 5)"))
    say("inet", await connection.fetchval("SELECT '10.0.0.0/8'::cidr"))


async def statements(connection):
    by_key = await connection.prepare("SELECT id, name FROM customers WHERE id = $1")
    say("parameters", by_key.get_parameters())
    say("attributes", by_key.get_attributes())
    for key in (1, 2, 3, 99):
        say(f"prepared {key}", await by_key.fetch(key))
    say("message", by_key.get_statusmsg())
    ordered = await connection.prepare("SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT $2")
    say("ordered", [await ordered.fetch(5, 3), await ordered.fetch(0, 1), await ordered.fetch(100, 1)])


async def cursors(connection):
    async with connection.transaction():
        say("cursor", [row["id"] async for row in connection.cursor(
            "SELECT id FROM orders WHERE customer_id = $1 ORDER BY id", 2, prefetch=2)])


async def scatter_cursors(connection):
    async with connection.transaction():
        cursor = await connection.cursor("SELECT id, name FROM customers ORDER BY id")
        say("fetch", (await cursor.fetch(3), await cursor.forward(4), await cursor.fetchrow()))


async def transactions(connection):
    async with connection.transaction():
        await connection.execute("UPDATE customers SET name = 'x' WHERE id IN (1, 2, 3)")
        try:
            async with connection.transaction():
                await connection.execute("UPDATE customers SET name = 'y'")
                await connection.execute("INSERT INTO customers (id, name) VALUES (1, 'double')")
        except asyncpg.UniqueViolationError as error:
            say("nested", (error.sqlstate, error.constraint_name, error.detail))
        say("names", await connection.fetch("SELECT name, count(*) FROM customers WHERE id < 5 GROUP BY name ORDER BY name"))
    await failure("syntax", connection, "SELEC 1")
    await failure("missing", connection, "SELECT * FROM nowhere")
    await failure("null", connection, "INSERT INTO customers (id) VALUES ($1)", 400)
    await failure("division", connection, "SELECT 1 / (id - 3) FROM customers ORDER BY id")
    async with connection.transaction(isolation="serializable", readonly=True):
        say("serializable", await connection.fetchval("SELECT name FROM customers WHERE id = 9"))
    try:
        await connection.fetch("SELECT pg_sleep(10)", timeout=0.3)
    except asyncio.TimeoutError:
        say("timeout", True)
    say("usable", await connection.fetchval("SELECT 1"))


async def streams(connection):
    say("records", await connection.copy_records_to_table(
        "customers", records=[(n, f"copied {n}") for n in range(500, 600)], columns=["id", "name"]))
    out = bytearray()

    async def write(data):
        out.extend(data)

    say("from query", await connection.copy_from_query("SELECT id FROM customers WHERE id = $1", 550, output=write))
    say("bytes", bytes(out))
    out.clear()
    say("from table", await connection.copy_from_table("customers", columns=["id", "name"], output=write, format="csv"))
    say("lines", sorted(out.decode().splitlines()))
    say("described", await connection.fetch(
        """SELECT column_name, data_type FROM information_schema.columns
           WHERE table_name = 'orders' ORDER BY ordinal_position"""))


async def pooled():
    async with asyncpg.create_pool(URL, min_size=2, max_size=5) as pool:
        async def one(key):
            async with pool.acquire() as connection:
                return await connection.fetchrow("SELECT id, name FROM customers WHERE id = $1", key)

        say("pool", await asyncio.gather(*(one(key) for key in range(1, 21))))
        async with pool.acquire() as connection:
            await connection.execute("SET work_mem = '8MB'")
        say("reset", [await pool.fetchval("SHOW work_mem") for _ in range(3)])
    uncached = await asyncpg.connect(URL, statement_cache_size=0)
    say("uncached", [await uncached.fetchval("SELECT name FROM customers WHERE id = $1", key) for key in (1, 2)])
    await uncached.close()


async def main():
    connection = await asyncpg.connect(URL, server_settings={"application_name": "asyncpg app"})
    say("version", connection.get_server_version()[:1])
    for step in [
        schema, bulk, crud, insert_select, types, statements, cursors, scatter_cursors, transactions, streams,
    ]:
        await attempt_async(step, connection)
    await attempt_async(pooled)
    await connection.execute(CLEANUP)
    await connection.execute("DROP TABLE moods")
    await connection.execute("DROP TYPE mood, spot CASCADE")
    await connection.close()
    finish()


asyncio.run(main())

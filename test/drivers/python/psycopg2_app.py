"""psycopg2: what applications do with it."""

import datetime
import decimal
import io
import threading
import time
import uuid

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
from transcript import CLEANUP, SCHEMA, URL, attempt, finish, say

psycopg2.extras.register_uuid()


def failure(label, connection, *query):
    """Runs what must fail; the transaction is rolled back."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(*query)
            say(label, cursor.fetchall() if cursor.description else cursor.rowcount)
    except psycopg2.Error as error:
        say(label, (type(error).__name__, error.pgcode, error.diag.message_primary))
        say(f"{label} about", (error.diag.table_name, error.diag.constraint_name))
    connection.rollback()


def person(key, **values):
    row = {
        "id": key,
        "name": f"name {key} ünï'\\\"",
        "country": "de",
        "born": datetime.date(1990, 1, 1) + datetime.timedelta(days=key),
        "seen": datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, datetime.timezone.utc),
        "balance": decimal.Decimal("10.25") * key,
        "rate": key / 3,
        "active": key % 2 == 0,
        "token": uuid.UUID(int=key * 7919),
        "photo": psycopg2.Binary(bytes(range(key % 256))),
        "tags": ["a,b", 'c"d', None, str(key)],
        "scores": [key, -key],
        "data": psycopg2.extras.Json({"key": key, "deep": [None, {"x": "'"}]}),
        "wait": datetime.timedelta(days=key, seconds=1.5),
    }
    return {**row, **values}


INSERT = """INSERT INTO customers VALUES (%(id)s, %(name)s, %(country)s, %(born)s, %(seen)s, %(balance)s,
  %(rate)s, %(active)s, %(token)s, %(photo)s, %(tags)s, %(scores)s, %(data)s, %(wait)s)"""


def plain(row):
    return [bytes(value) if isinstance(value, memoryview) else value for value in row]


def crud(connection):
    with connection, connection.cursor() as cursor:
        for statement in SCHEMA:
            cursor.execute(statement)
    with connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO countries VALUES (%s, %s)", [("de", "Germany"), ("fr", "France")]
        )
        say("countries", cursor.rowcount)
        for key in range(1, 9):
            cursor.execute(INSERT, person(key))
        say("inserted", (cursor.rowcount, cursor.statusmessage))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM customers WHERE id = %s", (5,))
        say("columns", [(c.name, c.type_code, c.internal_size) for c in cursor.description])
        say("one", plain(cursor.fetchone()))
        cursor.execute("SELECT * FROM customers ORDER BY id")
        say("all", [plain(row) for row in cursor])
        cursor.execute("SELECT id FROM customers WHERE id IN %s ORDER BY id", ((1, 2, 3),))
        say("in", cursor.fetchall())
        cursor.execute("SELECT id FROM customers WHERE id = ANY(%s) ORDER BY id DESC", ([4, 5, 6],))
        say("any", cursor.fetchmany(2))
        cursor.execute("UPDATE customers SET balance = balance + %s WHERE active", (1,))
        say("updated", (cursor.rowcount, cursor.statusmessage))
        cursor.execute("UPDATE customers SET born = NULL WHERE id = %s RETURNING id, born", (1,))
        say("returning", cursor.fetchall())
        cursor.execute("SELECT count(*), sum(balance), max(born), avg(rate) FROM customers")
        say("aggregates", cursor.fetchone())
        cursor.execute("SELECT current_setting('client_encoding'), %s::text", ("%",))
        say("percent", cursor.fetchone())


def bulk(connection):
    with connection, connection.cursor() as cursor:
        rows = [(n, c, f"item {n}", n * 1.5) for c in range(1, 9) for n in range(1, 6)]
        psycopg2.extras.execute_values(
            cursor, "INSERT INTO orders (id, customer_id, item, amount) VALUES %s", rows
        )
        say("execute_values", cursor.rowcount)

    with connection, connection.cursor() as cursor:
        returned = psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO orders (id, customer_id, item, amount) VALUES %s RETURNING id, customer_id",
            [(100 + c, c, "bulk", 9) for c in range(1, 9)],
            fetch=True,
        )
        say("bulk returning", sorted(returned))


def reports(connection):
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_batch(
            cursor,
            "UPDATE orders SET item = %s WHERE customer_id = %s AND id = %s",
            [("batch", c, 1) for c in range(1, 9)],
        )
        cursor.execute(
            """SELECT c.name, o.id, o.amount FROM customers c JOIN orders o ON o.customer_id = c.id
               WHERE c.id = %s ORDER BY o.id""",
            (3,),
        )
        say("join", cursor.fetchall())
        cursor.execute(
            """SELECT k.name, count(*), sum(o.amount) FROM orders o JOIN customers c ON c.id = o.customer_id
               JOIN countries k ON k.code = c.country GROUP BY 1 ORDER BY 1"""
        )
        say("report", cursor.fetchall())
        cursor.execute("INSERT INTO notes (body) VALUES (%s) RETURNING id", ("first",))
        say("serial", cursor.fetchone())
        cursor.execute("INSERT INTO notes (body) VALUES ('first') ON CONFLICT (body) DO NOTHING")
        say("conflict", cursor.statusmessage)
    with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT id, name FROM customers ORDER BY id DESC LIMIT 2 OFFSET 1")
        say("dicts", [dict(row) for row in cursor.fetchall()])


def errors(connection):
    failure("unique", connection, INSERT, person(3))
    failure("foreign key", connection, INSERT, person(50, country="xx"))
    failure("check", connection, "INSERT INTO orders VALUES (900, 1, 'x', -1)")
    failure("null", connection, INSERT, person(51, name=None))
    failure("syntax", connection, "SELEC 1")
    failure("column", connection, "SELECT nope FROM customers WHERE id = 1")
    failure("columns", connection, "SELECT nope FROM customers")
    failure("table", connection, "SELECT * FROM missing")
    failure("division", connection, "SELECT 1 / (id - id) FROM customers")
    failure("type", connection, "SELECT * FROM customers WHERE id = 'x'")
    failure("length", connection, INSERT, person(52, name="x" * 41))
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT nope")
        except psycopg2.errors.UndefinedColumn as error:
            say("position", error.diag.statement_position)
        failure_inside = None
        try:
            cursor.execute("SELECT 1")
        except psycopg2.errors.InFailedSqlTransaction as error:
            failure_inside = error.pgcode
        say("failed transaction", failure_inside)
        say("status", connection.info.transaction_status)
    connection.rollback()


def transactions(connection):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orders WHERE customer_id = 8")
        cursor.execute("SAVEPOINT a")
        cursor.execute("DELETE FROM orders")
        cursor.execute("SELECT count(*) FROM orders")
        say("deleted", cursor.fetchone())
        cursor.execute("ROLLBACK TO a")
        cursor.execute("SELECT count(*) FROM orders")
        say("back", cursor.fetchone())
        cursor.execute("RELEASE a")
    connection.commit()
    with psycopg2.connect(URL) as other, other.cursor() as cursor:
        cursor.execute("SELECT customer_id, count(*) FROM orders GROUP BY 1 ORDER BY 1")
        say("seen by another", cursor.fetchall())
    other.close()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        say("isolation", cursor.fetchone())
        cursor.execute("SELECT name FROM customers WHERE id = 1")
        say("read only", cursor.fetchone())
    failure("write", connection, "DELETE FROM customers WHERE id = 1")
    connection.set_session(isolation_level="DEFAULT", readonly=False, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '200ms'")
        try:
            cursor.execute("SELECT pg_sleep(5)")
        except psycopg2.errors.QueryCanceled as error:
            say("timeout", error.diag.message_primary)
        cursor.execute("RESET statement_timeout")
        cursor.execute("SELECT 1; SELECT 2")
        say("script", cursor.fetchall())
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    started = time.monotonic()
    failure("cancelled", connection, "SELECT pg_sleep(10), id FROM customers ORDER BY id")
    say("at once", time.monotonic() - started < 5)
    timer.join()
    connection.autocommit = False


def streams(connection):
    with connection.cursor(name="server side") as cursor:
        cursor.itersize = 3
        cursor.execute("SELECT id, item FROM orders WHERE customer_id = 2 ORDER BY id")
        say("named cursor", list(cursor))
    connection.commit()


def scatter_cursor(connection):
    with connection.cursor(name="all shards") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT customer_id, id, item FROM orders ORDER BY customer_id, id")
        say("first", cursor.fetchone())
        say("many", cursor.fetchmany(5))
        say("rest", len(list(cursor)))
    connection.commit()


def copies(connection):
    with connection, connection.cursor() as cursor:
        lines = "".join(f"{n}\tcopied {n}\tfr\n" for n in range(100, 200))
        cursor.copy_expert("COPY customers (id, name, country) FROM STDIN", io.StringIO(lines))
        say("copied in", cursor.rowcount)
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT id, name FROM customers WHERE id = 150) TO STDOUT CSV HEADER", out)
        say("copied out", out.getvalue())
        out = io.StringIO()
        cursor.copy_to(out, "customers", columns=("id", "name", "country", "born"))
        say("table out", sorted(out.getvalue().splitlines()))
        cursor.copy_from(io.StringIO("it\tItaly\n"), "countries")
        say("copy_from", cursor.rowcount)
    failure_copy = None
    try:
        with connection, connection.cursor() as cursor:
            cursor.copy_expert("COPY customers (id, name) FROM STDIN", io.StringIO("7\tx\n"))
    except psycopg2.Error as error:
        failure_copy = (error.pgcode, error.diag.constraint_name)
    say("copy error", failure_copy)


def pooled():
    pool = psycopg2.pool.ThreadedConnectionPool(1, 4, URL)
    results = {}

    def work(number):
        connection = pool.getconn()
        with connection, connection.cursor() as cursor:
            for key in range(1, 9):
                cursor.execute("SELECT name FROM customers WHERE id = %s", (key,))
                results[(number, key)] = cursor.fetchone()
        pool.putconn(connection)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.closeall()
    say("pooled", sorted(results.items()))


def main():
    connection = psycopg2.connect(URL, application_name="psycopg2 app", options="-c datestyle=ISO,DMY")
    say("server", (connection.server_version, connection.encoding, connection.info.ssl_in_use))
    for step in [crud, bulk, reports, errors, transactions, streams, scatter_cursor, copies]:
        attempt(step, connection)
        connection.rollback()
    attempt(pooled)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('datestyle')")
        say("settings", cursor.fetchone())
        cursor.execute(CLEANUP)
    connection.close()
    finish()


main()

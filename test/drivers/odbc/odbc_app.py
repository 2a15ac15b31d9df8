"""psqlODBC through pyodbc: what applications do with it."""

import datetime
import decimal
import os
import sys

import pyodbc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from transcript import attempt, finish, say  # noqa: E402

pyodbc.pooling = False
PLACE = ";".join(
    f"{name}={os.environ[variable]}"
    for name, variable in [("Server", "PGHOST"), ("Port", "PGPORT"), ("Database", "PGDATABASE"), ("UID", "PGUSER")]
)


def connect(options=""):
    return pyodbc.connect(f"Driver={{PostgreSQL Unicode}};{PLACE};{options}")


def failure(label, cursor, *query):
    try:
        cursor.execute(*query)
        say(label, [tuple(row) for row in cursor.fetchall()])
    except pyodbc.Error as error:
        say(label, (type(error).__name__, error.args[0]))
    cursor.connection.rollback()


def crud(connection):
    cursor = connection.cursor()
    for statement in [
        "DROP TABLE IF EXISTS orders, customers, countries, notes",
        "CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)",
        """CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
             born date, seen timestamp, balance numeric(12,2), rate float8, photo bytea)""",
        "CREATE TABLE orders (id bigint, customer_id bigint, amount numeric(10,2), PRIMARY KEY (customer_id, id))",
        "CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)",
    ]:
        cursor.execute(statement)
    connection.commit()
    cursor.executemany("INSERT INTO countries VALUES (?, ?)", [("de", "Germany"), ("fr", "France")])
    for key in range(1, 11):
        cursor.execute(
            "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (key, f"name {key} ж", "de", datetime.date(1990, 1, key), datetime.datetime(2024, 1, 1, 1, 1, key),
             decimal.Decimal(key) / 4, key / 3, bytes([key, 0, 255])),
        )
        say("inserted", cursor.rowcount)
    connection.commit()
    cursor.execute("SELECT * FROM customers WHERE id = ?", 4)
    say("columns", [tuple(str(part) for part in column) for column in cursor.description])
    say("one", tuple(cursor.fetchone()))
    say("ordered", [tuple(r) for r in cursor.execute("SELECT id, name FROM customers ORDER BY balance DESC LIMIT 3")])
    say("grouped", [tuple(r) for r in cursor.execute("SELECT country, count(*), sum(balance) FROM customers GROUP BY 1")])
    say("updated", cursor.execute("UPDATE customers SET rate = ? WHERE id > ?", (1.5, 4)).rowcount)
    cursor.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(1, c, c) for c in range(1, 11)])
    say("sum", tuple(cursor.execute("SELECT count(*), sum(amount) FROM orders").fetchone()))
    say("serial", cursor.execute("INSERT INTO notes (body) VALUES (?) RETURNING id", "a").fetchval())
    connection.commit()


def arrays(connection):
    cursor = connection.cursor()
    cursor.fast_executemany = True
    cursor.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(2, c, c) for c in range(1, 11)])
    connection.commit()
    say("fast", cursor.execute("SELECT count(*) FROM orders WHERE id = 2").fetchval())


def transactions(connection):
    cursor = connection.cursor()
    cursor.execute("DELETE FROM orders WHERE customer_id IN (1, 2, 3)")
    connection.rollback()
    say("back", cursor.execute("SELECT count(*) FROM orders WHERE id = 1").fetchval())
    connection.commit()
    failure("unique", cursor, "INSERT INTO customers (id, name) VALUES (?, ?)", (1, "x"))
    failure("null", cursor, "INSERT INTO customers (id) VALUES (?)", 50)
    failure("table", cursor, "SELECT * FROM nowhere")
    failure("syntax", cursor, "SELEC 1")
    failure("division", cursor, "SELECT 1 / (id - 4) FROM customers ORDER BY id")


def catalog(connection):
    cursor = connection.cursor()
    tables = [row.table_name for row in cursor.tables(schema="public", tableType="TABLE")]
    say("tables", [name for name in tables if name in ("countries", "customers", "notes", "orders")])
    say("columns", [(row.column_name, row.type_name, row.column_size) for row in cursor.columns(table="orders")])
    say("keys", [row.column_name for row in cursor.primaryKeys(table="orders")])


def cursors():
    connection = connect("UseDeclareFetch=1;Fetch=3")
    cursor = connection.cursor()
    say("one shard", [tuple(r) for r in cursor.execute("SELECT g FROM generate_series(1, 8) g, customers WHERE id = 1")])
    say("fetched", [tuple(r) for r in cursor.execute("SELECT id, name FROM customers ORDER BY id")])
    connection.close()


def main():
    connection = connect()
    for step in [crud, arrays, transactions, catalog]:
        attempt(step, connection)
        connection.rollback()
    attempt(cursors)
    connection.cursor().execute("DROP TABLE orders, customers, countries, notes")
    connection.commit()
    connection.close()
    finish()


main()

"""What every Python script of the driver tests prints with: one line a fact, equal wherever it runs."""

import os
import sys

URL = os.environ["DATABASE_URL"]

SCHEMA = [
    "DROP TABLE IF EXISTS orders, customers, countries, notes",
    "CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)",
    """CREATE TABLE customers (
         id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
         born date, seen timestamptz, balance numeric(12, 2) DEFAULT 0, rate float8, active boolean,
         token uuid, photo bytea, tags text[], scores int[], data jsonb, wait interval)""",
    """CREATE TABLE orders (
         id bigint, customer_id bigint REFERENCES customers ON DELETE CASCADE, item text,
         amount numeric(10, 2) CHECK (amount > 0), made timestamp, PRIMARY KEY (customer_id, id))""",
    "CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE, at timestamptz DEFAULT now())",
]

CLEANUP = "DROP TABLE orders, customers, countries, notes"


def say(label, value):
    print(f"{label}: {value!r}", flush=True)


failures = []
# Steps that the proxy refuses yet, by name.
skipped = os.environ.get("SKIPPED_STEPS", "").split(",")


def attempt(step, *args):
    """Runs one step of a script; a step that fails says so, and the script goes on with the next one."""
    if step.__name__ in skipped:
        return None
    try:
        return step(*args)
    except Exception as error:  # whatever a driver throws
        failed(step, error)


async def attempt_async(step, *args):
    if step.__name__ in skipped:
        return None
    try:
        return await step(*args)
    except Exception as error:  # whatever a driver throws
        failed(step, error)


def failed(step, error):
    failures.append(step.__name__)
    say(f"{step.__name__} failed", error)


def finish():
    """The exit code tells whether all steps went through."""
    sys.exit(1 if failures else 0)

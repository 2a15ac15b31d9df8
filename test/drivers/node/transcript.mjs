// What every script of this folder prints with: one line a fact, equal wherever it runs.
import { inspect } from 'node:util';

export const URL = process.env.DATABASE_URL;

export const SCHEMA = [
  'DROP TABLE IF EXISTS orders, customers, countries, notes',
  'CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)',
  `CREATE TABLE customers (
     id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries, born date,
     seen timestamptz, balance numeric(12, 2) DEFAULT 0, rate float8, active boolean, token uuid,
     photo bytea, tags text[], data jsonb)`,
  `CREATE TABLE orders (
     id bigint, customer_id bigint REFERENCES customers ON DELETE CASCADE, item text,
     amount numeric(10, 2), PRIMARY KEY (customer_id, id))`,
  'CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)',
];

export const CLEANUP = 'DROP TABLE orders, customers, countries, notes';

/** @param {string} label @param {unknown} value */
export function say(label, value) {
  const shown = inspect(value, { depth: 8, breakLength: Infinity, maxArrayLength: null });
  console.log(`${label}: ${shown}`);
}

/** Steps that the proxy refuses yet, by name. */
const skipped = (process.env.SKIPPED_STEPS ?? '').split(',');

/** A step that fails says so, and the script goes on with the next one. */
export async function attempt(label, step) {
  if (skipped.includes(label)) return;
  try {
    await step();
  } catch (error) {
    process.exitCode = 1;
    say(`${label} failed`, `${error.code ?? ''} ${error.message}`);
  }
}

/** What an error is to an application. */
export async function fails(label, work) {
  try {
    say(label, await work());
  } catch (error) {
    const cause = error.cause ?? error.parent ?? error.driverError ?? error;
    say(label, [cause.code, cause.message, cause.constraint ?? cause.constraint_name]);
  }
}

/** A customer as a plain object. @param {number} key */
export function customer(key) {
  return {
    id: key,
    name: `name ${key} ñ'\\`,
    country: key % 2 === 0 ? 'fr' : 'de',
    born: `1990-02-0${key % 9}`.replace('-00', '-10'),
    seen: new Date(Date.UTC(2024, 0, key, 10, 20, 30, 400)),
    balance: `${key}.25`,
    rate: key / 3,
    active: key % 3 === 0,
    token: `00000000-0000-4000-8000-${String(key).padStart(12, '0')}`,
    photo: Buffer.from([0, 255, key]),
    tags: ['a', `"${key}"`],
    data: { key, deep: [null, { x: 1 }] },
  };
}

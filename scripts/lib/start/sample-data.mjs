// @ts-check
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { StepError } from '../project.mjs';

export const CUSTOMERS = 2_000;
const ORDERS_PER_CUSTOMER = 3;
const ROWS_PER_INSERT = 250;

const schema = [
  `CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)`,
  `CREATE TABLE customers (
     id bigint PRIMARY KEY,
     name text NOT NULL,
     email text NOT NULL,
     country text NOT NULL REFERENCES countries (code),
     created_at timestamptz NOT NULL)`,
  `CREATE TABLE orders (
     customer_id bigint NOT NULL REFERENCES customers (id),
     id bigint NOT NULL,
     status text NOT NULL,
     placed_at timestamptz NOT NULL,
     PRIMARY KEY (customer_id, id))`,
  `CREATE TABLE order_items (
     customer_id bigint NOT NULL,
     order_id bigint NOT NULL,
     line int NOT NULL,
     product text NOT NULL,
     quantity int NOT NULL,
     price numeric(10, 2) NOT NULL,
     PRIMARY KEY (customer_id, order_id, line),
     FOREIGN KEY (customer_id, order_id) REFERENCES orders (customer_id, id))`,
  `CREATE INDEX customers_country ON customers (country)`,
  `CREATE TABLE settings (name text PRIMARY KEY, value text NOT NULL)`,
];

const tables = ['order_items', 'orders', 'customers', 'countries', 'settings'];
const countries = [
  ['BR', 'Brazil'],
  ['CA', 'Canada'],
  ['DE', 'Germany'],
  ['IN', 'India'],
  ['JP', 'Japan'],
  ['KE', 'Kenya'],
  ['NO', 'Norway'],
  ['NZ', 'New Zealand'],
];
const firstNames = ['Ada', 'Bo', 'Chidi', 'Dana', 'Eiko', 'Femi', 'Greta', 'Hugo', 'Ines', 'Jun'];
const lastNames = ['Abe', 'Berg', 'Costa', 'Diallo', 'Eriksen', 'Fischer', 'Gupta', 'Haddad'];
const products = ['lamp', 'kettle', 'desk', 'chair', 'rug', 'shelf', 'clock'];
const statuses = ['new', 'paid', 'shipped', 'returned'];

/**
 * Makes the sample tables and fills them, all through the proxy: the rows land on their shards by
 * the same ways as a user's.
 * @param {string} url of the proxy
 */
export async function loadSampleData(url) {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  let step = 'connecting';
  try {
    await client.connect();
    // Leftovers of a first start that broke off.
    for (const table of tables) {
      step = `dropping ${table}`;
      await client.query(`DROP TABLE IF EXISTS ${table}`);
    }
    for (const sql of schema) {
      step = sql.split('\n')[0] ?? sql;
      await client.query(sql);
    }
    step = 'filling countries';
    await client.query(`INSERT INTO countries VALUES ${countries.map(valuesOf).join(', ')}`);
    step = 'filling settings';
    await client.query(`INSERT INTO settings VALUES ('currency', 'EUR'), ('theme', 'light')`);
    step = 'filling customers';
    await insertCustomers(client);
    step = 'filling orders';
    await copy(client, 'orders (customer_id, id, status, placed_at)', orderLines());
    step = 'filling order_items';
    await copy(client, 'order_items', orderItemLines());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const hint = /** @type {{ hint?: string }} */ (error).hint;
    throw new StepError(`the sample data could not be loaded (${step}): ${reason}`, [
      ...(hint === undefined ? [] : [`Hint: ${hint}`]),
      'The next npm start tries again.',
    ]);
  } finally {
    await client.end().catch(() => {});
  }
}

/** @param {pg.Client} client */
async function insertCustomers(client) {
  for (let first = 1; first <= CUSTOMERS; first += ROWS_PER_INSERT) {
    const rows = Array.from({ length: ROWS_PER_INSERT }, (_, i) => valuesOf(customer(first + i)));
    await client.query(
      `INSERT INTO customers (id, name, email, country, created_at) VALUES ${rows.join(', ')}`,
    );
  }
}

/**
 * @param {pg.Client} client
 * @param {string} target
 * @param {Iterable<string>} lines in COPY's text format
 */
async function copy(client, target, lines) {
  await pipeline(Readable.from(lines), client.query(copyFrom(`COPY ${target} FROM STDIN`)));
}

/** @param {number} id */
function customer(id) {
  const first = pick(firstNames, id, 1);
  const last = pick(lastNames, id, 2);
  const email = `${first}.${last}.${id}@example.com`.toLowerCase();
  const country = countries[mix(id, 3) % countries.length]?.[0] ?? 'NO';
  return [id, `${first} ${last}`, email, country, timestamp(id)];
}

function* orderLines() {
  for (const { customerId, orderId } of orders()) {
    const status = pick(statuses, orderId, 4);
    yield `${customerId}\t${orderId}\t${status}\t${timestamp(orderId)}\n`;
  }
}

function* orderItemLines() {
  for (const { customerId, orderId } of orders()) {
    const count = 1 + (mix(orderId, 5) % 3);
    for (let line = 1; line <= count; line++) {
      const product = pick(products, orderId + line, 6);
      const cents = 500 + (mix(orderId, line + 7) % 20_000);
      const price = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
      yield `${customerId}\t${orderId}\t${line}\t${product}\t${1 + (cents % 4)}\t${price}\n`;
    }
  }
}

function* orders() {
  for (let customerId = 1; customerId <= CUSTOMERS; customerId++) {
    for (let i = 0; i < ORDERS_PER_CUSTOMER; i++) {
      yield { customerId, orderId: (customerId - 1) * ORDERS_PER_CUSTOMER + i + 1 };
    }
  }
}

/**
 * A row of VALUES.
 * @param {readonly (string | number)[]} values without quotes inside
 */
function valuesOf(values) {
  const items = values.map((value) => (typeof value === 'number' ? String(value) : `'${value}'`));
  return `(${items.join(', ')})`;
}

/** @param {number} n */
function timestamp(n) {
  const minutes = mix(n, 8) % (365 * 24 * 60);
  return new Date(Date.UTC(2025, 0, 1) + minutes * 60_000).toISOString();
}

/**
 * @param {readonly string[]} list
 * @param {number} n
 * @param {number} salt
 */
function pick(list, n, salt) {
  return list[mix(n, salt) % list.length] ?? '';
}

/**
 * The same data at every first start, scattered enough to look alive (an integer mix, 0 to 2^32).
 * @param {number} n
 * @param {number} salt
 */
function mix(n, salt) {
  let x = Math.imul(n + Math.imul(salt, 0x9e3779b1), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

// @ts-check
import pg from 'pg';
import { StepError } from '../project.mjs';
import { CUSTOMERS } from './sample-data.mjs';

/**
 * One statement of each kind that the sample cluster is there to show, with what must come back.
 * Leaves the data as it was, also where the user has added to it.
 * @type {readonly { what: string, sql: string, isRight: (result: pg.QueryResult) => boolean }[]}
 */
const statements = [
  {
    what: 'one customer, one shard',
    sql: 'SELECT id FROM customers WHERE id = 42',
    isRight: ({ rows }) => rows.length === 1 && rows[0].id === '42',
  },
  {
    what: 'a join and an aggregate within one customer',
    sql: `SELECT count(DISTINCT o.id)::int AS orders
            FROM orders o JOIN order_items i
              ON i.customer_id = o.customer_id AND i.order_id = o.id
           WHERE o.customer_id = 42`,
    isRight: ({ rows }) => rows[0].orders === 3,
  },
  {
    what: 'all rows of all shards',
    sql: 'SELECT id FROM customers',
    isRight: ({ rows }) => new Set(rows.map(({ id }) => id)).size >= CUSTOMERS,
  },
  {
    what: 'a reference table',
    sql: `SELECT name FROM countries WHERE code = 'NZ'`,
    isRight: ({ rows }) => rows.length === 1 && rows[0].name === 'New Zealand',
  },
  {
    what: 'an unsharded table',
    sql: `SELECT value FROM settings WHERE name = 'currency'`,
    isRight: ({ rows }) => rows.length === 1,
  },
  {
    what: 'a write to all shards',
    sql: 'UPDATE orders SET status = status',
    isRight: ({ rowCount }) => rowCount !== null && rowCount >= CUSTOMERS,
  },
];

/**
 * Runs them through the proxy and asks the HTTP listener whether it is ready.
 * @param {string} url of the proxy
 * @param {number | null} httpPort null: the configuration has none
 */
export async function checkCluster(url, httpPort) {
  console.log('Checking...');
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    for (const { what, sql, isRight } of statements) {
      const result = await client.query(sql).catch((/** @type {Error} */ error) => {
        throw new StepError(`${what}: ${error.message}`, [sql]);
      });
      if (!isRight(result)) {
        const shown = JSON.stringify(result.rows.slice(0, 5));
        throw new StepError(`${what}: wrong answer`, [sql, `${result.command} ${shown}`]);
      }
      console.log(`  ${what}: ok`);
    }
  } finally {
    await client.end().catch(() => {});
  }
  if (httpPort === null) return;
  const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
  if (response.status !== 200) {
    throw new StepError(`/readyz answers ${response.status}`, (await response.text()).split('\n'));
  }
  console.log('  /readyz: ok');
}

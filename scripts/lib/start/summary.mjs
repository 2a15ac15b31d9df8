// @ts-check
import { relative } from 'node:path';
import { configFile, homeFolder, logFolder } from './state.mjs';

/**
 * Says what runs where, and what to do with it.
 * @param {readonly import('../postgres-server.mjs').PostgresServer[]} servers
 * @param {{ listenPort: number, httpPort: number | null }} endpoints
 */
export function printSummary(servers, { listenPort, httpPort }) {
  const shards = servers.map(({ name, port }) => `${name} :${port}`).join('   ');
  const http = httpPort === null ? 'off' : `http://127.0.0.1:${httpPort}/metrics`;
  const here = (/** @type {string} */ path) => relative(process.cwd(), path);
  console.log(`
Shardgate is running: one PostgreSQL address in front of five servers.

  proxy     127.0.0.1:${listenPort}   user app, no password, database shop
  servers   ${shards}   (PostgreSQL 18 on 127.0.0.1)
  metrics   ${http}
  config    ${here(configFile)}   edit and save: the proxy takes it over
  logs      ${here(logFolder)}/

Connect:

  psql "host=127.0.0.1 port=${listenPort} user=app dbname=shop"

Try:

  -- one customer: one shard
  SELECT * FROM customers WHERE id = 42;

  -- a join within one customer: still one shard, so anything goes
  SELECT o.id, o.status, sum(i.quantity * i.price) AS total
    FROM orders o JOIN order_items i ON i.customer_id = o.customer_id AND i.order_id = o.id
   WHERE o.customer_id = 42 GROUP BY o.id, o.status ORDER BY total DESC;

  -- no shard key: all four shards answer
  SELECT id, name FROM customers WHERE country = 'NZ';

Ctrl-C stops everything; the data stays in ${here(homeFolder)}/ for the next npm start.`);
}

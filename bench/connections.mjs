// @ts-check
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { figure, megabytes, median, table } from './lib/markdown.mjs';
import { pgbench, pgbenchResult } from './lib/pgbench.mjs';
import { startPgBouncer } from './lib/pgbouncer.mjs';
import { cpuMicroseconds, settledRss } from './lib/process-stats.mjs';
import { RawClient } from './lib/raw-client.mjs';
import { startShardgate } from './lib/shardgate.mjs';

/** @typedef {import('./lib/bench.mjs').Bench} Bench */
/** @typedef {import('./lib/shardgate.mjs').Target} Target */

/** Logins at once: below the listen backlog of every target. */
const LOGINS_AT_ONCE = 50;
const RECONNECTING_CLIENTS = '8';
/** Loads code and warms the JIT, so that memory does not grow for that later. */
const WARM_UP_SECONDS = '2';

/**
 * Memory of idle clients, and what connecting costs.
 * @param {Bench} bench
 * @returns {Promise<string>} Markdown
 */
export async function measureConnections(bench) {
  const { servers, options, cleanup, pgbouncer } = bench;
  const scriptFile = join(servers.folder, 'select-1.sql');
  writeFileSync(scriptFile, 'SELECT 1;\n', { mode: 0o644 });
  const proxies = [await startShardgate(servers, cleanup, options.profile)];
  if (pgbouncer !== null) {
    proxies.push(await startPgBouncer(pgbouncer, servers, cleanup, 'transaction'));
  }
  const rows = [];
  for (const { target } of proxies) {
    await reconnect(target, scriptFile, WARM_UP_SECONDS);
    const idle = await idleClients(target, options.idleClients);
    rows.push({ target, idle, runs: /** @type {{ perSecond: number, cpu: number }[]} */ ([]) });
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const { target, runs } of rows) {
      runs.push(await reconnect(target, scriptFile, String(options.seconds)));
    }
  }
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  const head = ['', 'RSS before MB', `RSS with ${options.idleClients} idle clients MB`];
  head.push('kB a client', 'connections/s', 'us CPU a connection');
  const cells = rows.map(({ target, idle, runs }) => [
    target.name,
    megabytes(idle.before),
    megabytes(idle.after),
    figure((idle.after - idle.before) / options.idleClients / 1000),
    figure(median(runs.map((run) => run.perSecond)), 0),
    figure(median(runs.map((run) => run.cpu)), 0),
  ]);
  const note =
    'Each idle client has run one query. A connection: connect, log in with trust, SELECT 1, ' +
    `disconnect (pgbench -C, ${RECONNECTING_CLIENTS} clients).`;
  return `### Connections\n\n${table(head, cells)}\n\n${note}`;
}

/**
 * @param {Target} target
 * @param {number} count
 * @returns {Promise<{ before: number, after: number }>} RSS of the proxy in bytes
 */
async function idleClients(target, count) {
  const pid = target.pid ?? 0;
  const before = await settledRss(pid);
  /** @type {RawClient[]} */
  const clients = [];
  try {
    while (clients.length < count) {
      const group = Math.min(LOGINS_AT_ONCE, count - clients.length);
      const logins = Array.from({ length: group }, () =>
        RawClient.connect(target, { small: true }),
      );
      clients.push(...(await Promise.all(logins)));
    }
    for (const [i, client] of clients.entries()) {
      await client.query(`SELECT abalance FROM pgbench_accounts WHERE aid = ${i + 1}`);
    }
    const after = await settledRss(pid);
    console.log(`  ${target.name}: ${count} idle clients, ${megabytes(after - before)} MB more`);
    return { before, after };
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

/**
 * @param {Target} target
 * @param {string} scriptFile
 * @param {string} seconds
 */
async function reconnect(target, scriptFile, seconds) {
  const pid = target.pid ?? 0;
  const before = cpuMicroseconds(pid);
  const args = ['-n', '-C', '-c', RECONNECTING_CLIENTS, '-T', seconds, '-f', scriptFile];
  const result = pgbenchResult(await pgbench(target, args));
  const cpu = (cpuMicroseconds(pid) - before) / result.transactions;
  console.log(
    `  ${target.name}: ${figure(result.perSecond, 0)} connections/s, ${figure(cpu, 0)} us`,
  );
  return { perSecond: result.perSecond, cpu };
}

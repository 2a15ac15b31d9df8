// @ts-check
import { StepError } from '../scripts/lib/project.mjs';
import { database, query } from './lib/database-servers.mjs';
import { figure, median, table } from './lib/markdown.mjs';
import { pgbench, pgbenchResult } from './lib/pgbench.mjs';
import { cpuMicroseconds } from './lib/process-stats.mjs';
import { startShardgate } from './lib/shardgate.mjs';

/** @typedef {import('./lib/bench.mjs').Bench} Bench */
/** @typedef {import('./lib/shardgate.mjs').Target} Target */
/** @typedef {{ perSecond: number, cpu: number }} Sample cpu: of the proxy, us per transaction */

/** What every transaction of the script adds to one row of each, and writes down in the last. */
const SUMS = `SELECT sum(abalance) FROM pgbench_accounts UNION ALL
  SELECT sum(tbalance) FROM pgbench_tellers UNION ALL
  SELECT sum(bbalance) FROM pgbench_branches UNION ALL
  SELECT COALESCE(sum(delta), 0) FROM pgbench_history`;

/**
 * pgbench's standard transaction over four shards, where account, teller and branch have shard keys of
 * their own (so most transactions write on two or three shards, and commit in two phases), beside the
 * same over a cluster of one shard.
 * @param {Bench} bench
 * @returns {Promise<string>} Markdown
 */
export async function measureTwoPhase(bench) {
  const { servers, options, cleanup } = bench;
  const proxies = [
    await startShardgate(servers, cleanup, options.profile, 'one server'),
    await startShardgate(servers, cleanup, options.profile, 'four servers'),
  ];
  const rows = [];
  for (const clients of options.clients) {
    /** @type {Map<string, Sample[]>} */
    const samples = new Map(proxies.map(({ target }) => [target.name, []]));
    // The first round warms up: plans, prepared statements, connections.
    for (let round = -1; round < options.rounds; round++) {
      for (const { target } of proxies) {
        const sample = await run(target, clients, options.seconds);
        if (round >= 0) samples.get(target.name)?.push(sample);
      }
    }
    rows.push(resultRow(clients, [...samples.values()]));
    console.log(`  ${rows.at(-1)?.join('  ')}`);
  }
  for (const { target } of proxies) await checkSums(target);
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  const head = ['clients', 'one shard tps', 'four shards tps', 'ratio'];
  head.push('one shard us CPU', 'four shards us CPU');
  const note =
    `pgbench's standard script (-M prepared), scale ${options.scale}; medians of ${options.rounds} runs of ` +
    `${options.seconds} s, taken in turns. CPU is the proxy's, per transaction. No error came up, and the ` +
    'sums of balances were equal afterwards.';
  return `### Transactions over several shards\n\n${table(head, rows)}\n\n${note}`;
}

/**
 * @param {Target} target
 * @param {number} clients
 * @param {number} seconds
 * @returns {Promise<Sample>}
 */
async function run(target, clients, seconds) {
  const cpu = target.pid === null ? NaN : cpuMicroseconds(target.pid);
  const args = ['-n', '-M', 'prepared', '-c', String(clients), '-j', '1', '-T', String(seconds)];
  const { transactions, perSecond } = pgbenchResult(await pgbench(target, args));
  const used = target.pid === null ? NaN : cpuMicroseconds(target.pid) - cpu;
  return { perSecond, cpu: used / transactions };
}

/**
 * @param {number} clients
 * @param {readonly Sample[][]} samples of one shard, then of four
 * @returns {string[]}
 */
function resultRow(clients, samples) {
  const [one = NaN, four = NaN] = samples.map((list) => median(list.map((s) => s.perSecond)));
  const cpu = samples.map((list) => figure(median(list.map((sample) => sample.cpu)), 0));
  return [String(clients), figure(one, 0), figure(four, 0), figure(four / one, 2), ...cpu];
}

/** @param {Target} target */
async function checkSums(target) {
  const { rows } = await query(`postgres://postgres@127.0.0.1:${target.port}/${database}`, SUMS);
  const sums = new Set(rows.map((row) => String(row.sum ?? row.coalesce)));
  if (sums.size === 1) return;
  throw new StepError(`${target.name}: the sums of balances differ: ${[...sums].join(', ')}`);
}

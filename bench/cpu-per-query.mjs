// @ts-check
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { database } from './lib/database-servers.mjs';
import { figure, geometricMean, median, table } from './lib/markdown.mjs';
import { pgbench, pgbenchResult } from './lib/pgbench.mjs';
import { startPgBouncer } from './lib/pgbouncer.mjs';
import { cpuMicroseconds } from './lib/process-stats.mjs';
import { startShardgate } from './lib/shardgate.mjs';

/** @typedef {import('./lib/bench.mjs').Bench} Bench */
/** @typedef {import('./lib/shardgate.mjs').Target} Target */
/** @typedef {{ cpu: number[], perSecond: number[] }} Samples `cpu` in microseconds per transaction */

const modes = /** @type {const} */ (['simple', 'extended', 'prepared']);
/** @typedef {(typeof modes)[number]} Mode */

const WARM_UP_SECONDS = '2';

/** The statement of `pgbench -S`; as a script, since -S counts the branches on each start. */
const script = `\\set aid random(1, 100000 * :scale)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
`;

/**
 * CPU time of the proxy per query and throughput, for reads by primary key. The targets take turns,
 * so that what else runs on the machine meets all of them.
 * @param {Bench} bench
 * @returns {Promise<string>} Markdown
 */
export async function measureCpuPerQuery(bench) {
  const { servers, options, cleanup, pgbouncer } = bench;
  const scriptFile = join(servers.folder, 'select.sql');
  writeFileSync(scriptFile, script, { mode: 0o644 });
  const shardgates = [
    await startShardgate(servers, cleanup, options.profile, 'one server'),
    await startShardgate(servers, cleanup, options.profile, 'four servers'),
  ];
  const bouncers = new Map();
  for (const mode of modes) {
    const poolMode = poolModeFor(mode, pgbouncer);
    if (pgbouncer !== null && !bouncers.has(poolMode)) {
      bouncers.set(poolMode, await startPgBouncer(pgbouncer, servers, cleanup, poolMode));
    }
  }
  const direct = { name: 'direct', port: servers.single.port, database, pid: null };
  const sections = [];
  for (const mode of modes) {
    const bouncer = bouncers.get(poolModeFor(mode, pgbouncer));
    const proxies = [...shardgates, ...(bouncer === undefined ? [] : [bouncer])];
    const targets = [...proxies.map(({ target }) => target), direct];
    const run = (/** @type {Target} */ target, /** @type {number} */ clients, seconds = '') =>
      runOnce(target, mode, clients, seconds === '' ? String(options.seconds) : seconds, {
        scriptFile,
        scale: options.scale,
      });
    for (const target of targets) await run(target, 8, WARM_UP_SECONDS);
    /** @type {Map<number, Map<string, Samples>>} */
    const results = new Map();
    for (const clients of options.clients) {
      results.set(clients, await takeTurns(targets, options.rounds, (t) => run(t, clients)));
      console.log(progressLine(mode, clients, results.get(clients)));
    }
    sections.push({ mode, results });
  }
  await Promise.all([...shardgates, ...bouncers.values()].map((proxy) => proxy.stop()));
  return report(sections, options.clients, bench);
}

/**
 * Before 1.21 PgBouncer cannot follow prepared statements from one server connection to another.
 * @param {Mode} mode
 * @param {import('./lib/pgbouncer.mjs').PgBouncer | null} pgbouncer
 */
function poolModeFor(mode, pgbouncer) {
  const session = mode === 'prepared' && pgbouncer?.preparesInTransactionPooling === false;
  return session ? 'session' : 'transaction';
}

/**
 * @param {readonly Target[]} targets
 * @param {number} rounds
 * @param {(target: Target) => Promise<{ cpu: number, perSecond: number }>} run
 * @returns {Promise<Map<string, Samples>>} by target name
 */
async function takeTurns(targets, rounds, run) {
  /** @type {Map<string, Samples>} */
  const samples = new Map(targets.map(({ name }) => [name, { cpu: [], perSecond: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (const target of targets) {
      const { cpu, perSecond } = await run(target);
      samples.get(target.name)?.cpu.push(cpu);
      samples.get(target.name)?.perSecond.push(perSecond);
    }
  }
  return samples;
}

/**
 * @param {Target} target
 * @param {Mode} mode
 * @param {number} clients
 * @param {string} seconds
 * @param {{ scriptFile: string, scale: number }} data
 */
async function runOnce(target, mode, clients, seconds, { scriptFile, scale }) {
  const args = ['-n', '-M', mode, '-c', String(clients), '-T', seconds];
  const before = target.pid === null ? 0 : cpuMicroseconds(target.pid);
  const output = await pgbench(target, [...args, '-D', `scale=${scale}`, '-f', scriptFile]);
  const used = target.pid === null ? NaN : cpuMicroseconds(target.pid) - before;
  const { transactions, perSecond } = pgbenchResult(output);
  return { cpu: used / transactions, perSecond };
}

/**
 * @param {string} mode
 * @param {number} clients
 * @param {Map<string, Samples> | undefined} samples
 */
function progressLine(mode, clients, samples) {
  const cells = [...(samples ?? [])].map(([name, { cpu, perSecond }]) => {
    const tps = `${figure(median(perSecond), 0)}/s`;
    return Number.isNaN(cpu[0]) ? `${name} ${tps}` : `${name} ${figure(median(cpu))} us ${tps}`;
  });
  return `  ${mode.padEnd(8)} ${String(clients).padStart(2)} clients: ${cells.join(', ')}`;
}

const ONE = 'Shardgate, one server';
const FOUR = 'Shardgate, four servers';
const BOUNCER = 'PgBouncer';

/**
 * @param {readonly { mode: Mode, results: Map<number, Map<string, Samples>> }[]} sections
 * @param {readonly number[]} clientCounts
 * @param {Bench} bench
 */
function report(sections, clientCounts, { pgbouncer, options }) {
  const costs = [];
  const rates = [];
  for (const { mode, results } of sections) {
    /** @type {[number, number][]} */
    const ratios = [];
    for (const clients of clientCounts) {
      const samples = results.get(clients);
      const cpu = (/** @type {string} */ name) => median(samples?.get(name)?.cpu ?? [NaN]);
      const tps = (/** @type {string} */ name) => median(samples?.get(name)?.perSecond ?? [NaN]);
      const base = cpu(BOUNCER);
      ratios.push([cpu(ONE) / base, cpu(FOUR) / base]);
      const us = [base, cpu(ONE), cpu(FOUR)].map((value) => figure(value));
      const ratio = [cpu(ONE) / base, cpu(FOUR) / base].map((value) => figure(value, 2));
      costs.push([mode, String(clients), ...us, ...ratio]);
      const all = ['direct', BOUNCER, ONE, FOUR].map((name) => figure(tps(name), 0));
      rates.push([mode, String(clients), ...all]);
    }
    const means = [0, 1].map((i) => geometricMean(ratios.map((pair) => pair[i] ?? NaN)));
    costs.push([mode, 'mean', '', '', '', ...means.map((mean) => `**${figure(mean, 2)}**`)]);
  }
  const head = ['mode', 'clients', 'PgBouncer us', `${ONE} us`, `${FOUR} us`];
  head.push('ratio, one server', 'ratio, four servers');
  const rateHead = ['mode', 'clients', 'direct tps', 'PgBouncer tps', `${ONE} tps`, `${FOUR} tps`];
  const notes = [
    `Medians of ${options.rounds} runs of ${options.seconds} s, taken in turns. CPU is user + system ` +
      'time of the proxy per query; the means are geometric.',
    'PgBouncer and direct use one server that holds everything. Shardgate does all of its routing ' +
      'in front of that server too ("one server", a cluster of one shard: equal terms), and in front ' +
      'of four servers with a quarter each, whose processes share the cores of this machine too.',
  ];
  if (pgbouncer === null) notes.push('PgBouncer is not installed, so nothing is compared with it.');
  else if (!pgbouncer.preparesInTransactionPooling) {
    notes.push(
      `PgBouncer ${pgbouncer.version} has no prepared statements in transaction pooling (1.21 has): ` +
        'in that mode it pools sessions, which is less work.',
    );
  }
  const tables = `${table(head, costs)}\n\n${table(rateHead, rates)}`;
  return `### CPU per query and throughput\n\n${tables}\n\n${notes.join('\n')}`;
}

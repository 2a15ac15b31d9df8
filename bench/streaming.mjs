// @ts-check
import { database } from './lib/database-servers.mjs';
import { figure, megabytes, median, table } from './lib/markdown.mjs';
import { startPgBouncer } from './lib/pgbouncer.mjs';
import { cpuMicroseconds, memory, resetPeak } from './lib/process-stats.mjs';
import { RawClient } from './lib/raw-client.mjs';
import { startShardgate } from './lib/shardgate.mjs';

/** @typedef {import('./lib/bench.mjs').Bench} Bench */
/** @typedef {import('./lib/shardgate.mjs').Target} Target */
/** @typedef {{ perSecond: number, cpuPerGB: number, peakBytes: number }} Sample bytes and us */

/** The slow client stops for this long, this often over the whole result. */
const PAUSE_MS = 200;
const PAUSES = 16;

/**
 * One row of an account, repeated by the server: one shard answers, and nothing of a gigabyte has to
 * be on its disk. Bytes of a row: its text and 11 of framing (COPY: 6).
 */
const cases = /** @type {const} */ ([
  { name: 'SELECT, rows of 100 bytes', rowBytes: 100, copy: false, slow: false },
  { name: 'SELECT, rows of 8 kB', rowBytes: 8_000, copy: false, slow: false },
  { name: 'COPY, rows of 100 bytes', rowBytes: 100, copy: true, slow: false },
  { name: 'COPY, rows of 8 kB', rowBytes: 8_000, copy: true, slow: false },
  { name: 'SELECT of 8 kB, slow reader', rowBytes: 8_000, copy: false, slow: true },
]);
/** @typedef {(typeof cases)[number]} Case */

/**
 * Throughput of one large result through one connection, the proxy's CPU time for it, and the most
 * memory it took meanwhile.
 * @param {Bench} bench
 * @returns {Promise<string>} Markdown
 */
export async function measureStreaming(bench) {
  const { servers, options, cleanup, pgbouncer } = bench;
  const shardgate = await startShardgate(servers, cleanup, options.profile);
  const bouncer =
    pgbouncer === null ? null : await startPgBouncer(pgbouncer, servers, cleanup, 'transaction');
  const direct = { name: 'direct', port: servers.single.port, database, pid: null };
  const targets = [shardgate.target, ...(bouncer === null ? [] : [bouncer.target]), direct];
  const rows = [];
  for (const one of cases) {
    /** @type {Map<string, Sample[]>} */
    const samples = new Map(targets.map(({ name }) => [name, []]));
    for (let round = 0; round < options.rounds; round++) {
      for (const target of targets) {
        samples.get(target.name)?.push(await stream(target, one, options.streamBytes));
      }
    }
    rows.push(resultRow(one, samples));
    console.log(`  ${rows.at(-1)?.join('  ')}`);
  }
  await Promise.all([shardgate.stop(), bouncer?.stop()]);
  const head = ['result', 'Shardgate MB/s', 'PgBouncer MB/s', 'direct MB/s'];
  head.push('Shardgate ms CPU/GB', 'PgBouncer ms CPU/GB', 'Shardgate peak MB', 'PgBouncer peak MB');
  const note =
    `${megabytes(options.streamBytes)} MB through one connection, one shard; medians of ` +
    `${options.rounds} runs, taken in turns; peak: highest RSS of the proxy in any of them. The slow ` +
    `reader stops ${PAUSES} times for ${PAUSE_MS} ms.`;
  return `### Streaming\n\n${table(head, rows)}\n\n${note}`;
}

/**
 * @param {Target} target
 * @param {Case} one
 * @param {number} bytes
 * @returns {Promise<Sample>}
 */
async function stream(target, one, bytes) {
  const client = await RawClient.connect(target);
  if (one.slow) slowDown(client, bytes / PAUSES);
  const { pid } = target;
  if (pid !== null) resetPeak(pid);
  const cpu = pid === null ? NaN : cpuMicroseconds(pid);
  const started = performance.now();
  const received = await client.query(statement(one, bytes));
  const seconds = (performance.now() - started) / 1000;
  const used = pid === null ? NaN : cpuMicroseconds(pid) - cpu;
  const peakBytes = pid === null ? NaN : memory(pid).peakBytes;
  await client.end();
  return { perSecond: received / seconds, cpuPerGB: (used / received) * 1e9, peakBytes };
}

/**
 * @param {Case} one
 * @param {number} bytes
 */
function statement({ rowBytes, copy }, bytes) {
  const count = Math.ceil(bytes / (rowBytes + (copy ? 6 : 11)));
  const select =
    `SELECT repeat('x', ${rowBytes}) FROM pgbench_accounts, generate_series(1, ${count}) ` +
    'WHERE aid = 1';
  return copy ? `COPY (${select}) TO STDOUT` : select;
}

/**
 * @param {RawClient} client
 * @param {number} everyBytes
 */
function slowDown(client, everyBytes) {
  let left = everyBytes;
  client.onChunk = (length) => {
    left -= length;
    if (left > 0) return;
    left = everyBytes;
    client.socket.pause();
    setTimeout(() => client.socket.resume(), PAUSE_MS);
  };
}

/**
 * @param {Case} one
 * @param {Map<string, Sample[]>} samples
 */
function resultRow({ name }, samples) {
  const values = (/** @type {string} */ target, /** @type {keyof Sample} */ field) =>
    (samples.get(target) ?? []).map((sample) => sample[field]);
  const middle = (/** @type {string} */ target, /** @type {keyof Sample} */ field) => {
    const all = values(target, field);
    return all.length === 0 ? NaN : median(all);
  };
  const peak = (/** @type {string} */ target) => {
    const all = values(target, 'peakBytes');
    return all.length === 0 ? '-' : megabytes(Math.max(...all));
  };
  return [
    name,
    ...['Shardgate, four servers', 'PgBouncer', 'direct'].map((t) =>
      figure(middle(t, 'perSecond') / 1e6, 0),
    ),
    ...['Shardgate, four servers', 'PgBouncer'].map((t) => figure(middle(t, 'cpuPerGB') / 1e3, 0)),
    ...['Shardgate, four servers', 'PgBouncer'].map(peak),
  ];
}

// @ts-check
import { measureConnections } from '../connections.mjs';
import { measureCpuPerQuery } from '../cpu-per-query.mjs';
import { measureMerge } from '../merge.mjs';
import { measureParts, measureVindexes } from '../micro.mjs';
import { measureStreaming } from '../streaming.mjs';
import { measureTwoPhase } from '../two-phase.mjs';
import { startServers } from './database-servers.mjs';
import { describeMachine } from './machine.mjs';
import { pgbenchProgram } from './pgbench.mjs';
import { loadPgbenchData } from './pgbench-data.mjs';
import { findPgBouncer } from './pgbouncer.mjs';
import { needProc } from './process-stats.mjs';
import { startShardgate } from './shardgate.mjs';

/** @typedef {import('./bench.mjs').Bench} Bench */
/** @typedef {import('./cleanup.mjs').Cleanup} Cleanup */
/** @typedef {import('./options.mjs').Options} Options */

/** @type {readonly { part: import('./options.mjs').Part, run: (bench: Bench) => Promise<string> }[]} */
const overServers = [
  { part: 'cpu', run: measureCpuPerQuery },
  { part: 'streaming', run: measureStreaming },
  { part: 'merge', run: measureMerge },
  { part: 'two-phase', run: measureTwoPhase },
  { part: 'connections', run: measureConnections },
];

/**
 * Takes all measurements that are asked for, one after the other.
 * @param {Options} options
 * @param {Cleanup} cleanup
 * @returns {Promise<string>} the report, Markdown
 */
export async function measure(options, cleanup) {
  const sections = [];
  /** @type {Bench | null} */
  let bench = null;
  const wanted = overServers.filter(({ part }) => options.parts.has(part));
  if (wanted.length > 0) {
    bench = await prepare(options, cleanup);
    for (const { part, run } of wanted) {
      console.log(`\n[${part}]`);
      sections.push(await run(bench));
    }
  }
  if (options.parts.has('micro')) {
    console.log('\n[micro]');
    sections.push(await measureParts(options.seconds));
  }
  if (options.parts.has('vindexes')) {
    console.log('\n[vindexes]');
    sections.push(await measureVindexes(options.seconds));
  }
  const machine = describeMachine(bench?.servers.bin ?? null, bench?.pgbouncer ?? null);
  return ['## Benchmarks', machine, ...sections].join('\n\n');
}

/**
 * @param {Options} options
 * @param {Cleanup} cleanup
 * @returns {Promise<Bench>}
 */
async function prepare(options, cleanup) {
  needProc();
  pgbenchProgram();
  const pgbouncer = findPgBouncer();
  if (pgbouncer === null)
    console.log('PgBouncer is not installed: there is nothing to compare with.');
  console.log('Starting five PostgreSQL servers...');
  const servers = await startServers(cleanup);
  console.log(`Loading pgbench data, scale ${options.scale}...`);
  const proxy = await startShardgate(servers, cleanup, null);
  const problem = await loadPgbenchData(servers, proxy.target, options.scale);
  if (problem !== null) {
    console.log(
      `  pgbench -i failed through Shardgate (${problem}): the shards were loaded directly.`,
    );
  }
  await proxy.stop();
  return { options, cleanup, servers, pgbouncer };
}

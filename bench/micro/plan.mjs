// @ts-check
import { fromDist } from '../lib/from-dist.mjs';
import { pgbenchPlanner } from './pgbench-plans.mjs';

const SIMPLE = 'SELECT abalance FROM pgbench_accounts WHERE aid = 12345;';
const PREPARED = 'SELECT abalance FROM pgbench_accounts WHERE aid = $1;';

/**
 * From a text to its plan, and from the plan to the shard.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function planBenchmarks() {
  const { ShardTargets, ValueSource } =
    /** @type {typeof import('../../src/executor/shard-targets.js')} */ (
      await fromDist('executor/shard-targets.js')
    );
  const { Literals } = /** @type {typeof import('../../src/sql/literals.js')} */ (
    await fromDist('sql/literals.js')
  );
  const planner = await pgbenchPlanner();
  const literals = new Literals();
  const context = {
    searchPath: ['public'],
    searchPathKey: '',
    paramTypes: [],
    paramTypesKey: '',
  };
  const simple = Buffer.from(SIMPLE);
  const prepared = Buffer.from(PREPARED);
  const plan = (/** @type {Buffer} */ bytes) => {
    const planned = planner.plan(bytes, 0, bytes.length, context, literals);
    if (planned instanceof Promise) throw new Error('a short text is planned at once');
    return planned;
  };
  // Fills the cache.
  plan(prepared);
  const { whole } = plan(simple);
  if (whole?.kind !== 'route' || whole.shards.kind !== 'keys') {
    throw new Error(`a read by key is planned as ${whole?.kind ?? 'several statements'}`);
  }
  const { keyspace, groups } = whole.shards;
  const source = new ValueSource();
  source.text = simple;
  source.literals = literals;
  const { KeySamples } = /** @type {typeof import('../../src/executor/key-samples.js')} */ (
    await fromDist('executor/key-samples.js')
  );
  const targets = new ShardTargets();
  const sampled = new ShardTargets(new KeySamples());
  return [
    { name: 'plan by text (with parameters)', run: () => plan(prepared) },
    { name: 'plan by shape (with literals)', run: () => plan(simple) },
    { name: 'shard of a literal key', run: () => targets.resolve(keyspace, groups, source) },
    { name: 'the same, keys sampled', run: () => sampled.resolve(keyspace, groups, source) },
  ];
}

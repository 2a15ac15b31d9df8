import { expect, test } from 'vitest';
import type { Shard, Topology } from '../../../src/keyspace/topology.js';
import { inDoubtLegs } from '../../../src/transaction/in-doubt.js';
import { shardNamed } from './scripted-participants.js';

const shards = ['s0', 's1', 's2'].map((name, index) => shardNamed(name, index));
const topology = { shards } as unknown as Topology;
const id = (decider: string, n: number): string =>
  `shardgate:shop/${decider}:00000000-0000-4000-8000-00000000000${n}`;

test('what is in doubt is told oldest first, with the decision where there is one', async () => {
  const prepared: Record<string, string[][]> = {
    s0: [[`${id('s1', 1)}:1`, '2026-01-01T00:00:02.000Z', '100']],
    s2: [
      [`${id('s1', 1)}:2`, '2026-01-01T00:00:01.000Z', '200'],
      [`${id('s0', 2)}:1`, '2026-01-01T00:00:00.000Z', '300'],
      [`${id('gone', 3)}:1`, '2026-01-01T00:00:02.500Z', '50'],
      ['of somebody else', '2026-01-01T00:00:00.000Z', '900'],
    ],
  };
  const query = async ({ name }: Shard, sql: string): Promise<string[][]> => {
    await Promise.resolve();
    if (sql.includes('pg_prepared_xacts')) {
      // One cannot be asked what is prepared there.
      if (name === 's1') throw new Error('connection refused');
      return prepared[name] ?? [];
    }
    return name === 's1' && sql.includes(id('s1', 1)) ? [[id('s1', 1), 'commit']] : [];
  };
  const legs = await inDoubtLegs(topology, query);
  expect(
    legs.map(({ gid, shard, decider, decision, ageMs }) => [
      gid,
      shard.name,
      decider?.name,
      decision,
      ageMs,
    ]),
  ).toEqual([
    [`${id('s0', 2)}:1`, 's2', 's0', null, 300],
    [`${id('s1', 1)}:2`, 's2', 's1', 'commit', 200],
    [`${id('s1', 1)}:1`, 's0', 's1', 'commit', 100],
    [`${id('gone', 3)}:1`, 's2', undefined, null, 50],
  ]);
  expect(legs[0]!.preparedAt).toBe('2026-01-01T00:00:00.000Z');
});

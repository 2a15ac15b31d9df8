import { expect, test } from 'vitest';
import { legGid, newTransactionId, parseLeg } from '../../../src/transaction/transaction-ids.js';
import { shardNamed } from './scripted-participants.js';

test('a leg names its transaction and the shard that decides', () => {
  const transaction = newTransactionId(shardNamed('s-1_x', 0));
  const gid = legGid(transaction, 12);
  expect(parseLeg(gid)).toEqual({ gid, transaction, keyspace: 'shop', shard: 's-1_x' });
});

test('no two transactions are called the same', () => {
  const ids = new Set(Array.from({ length: 1000 }, () => newTransactionId(shardNamed('s0', 0))));
  expect(ids.size).toBe(1000);
});

test('the longest name is one that PostgreSQL takes', () => {
  const longest = { ...shardNamed('s'.repeat(63), 0), keyspace: 'k'.repeat(63) };
  expect(legGid(newTransactionId(longest), 262_143).length).toBeLessThan(200);
});

const uuid = '00000000-0000-4000-8000-000000000000';
test.each([
  '',
  'shardgate:',
  `shardgate:shop/s0:${uuid}`,
  `shardgate:shop/s0:${uuid}:`,
  `shardgate:shop/s0:${uuid}:1x`,
  `shardgate:shop/s0/s1:${uuid}:1`,
  `shardgate:shop/:${uuid}:1`,
  `shardgate:shop/s'0:${uuid}:1`,
  `shardgate:shop/s0:${uuid.slice(1)}:1`,
  `Shardgate:shop/s0:${uuid}:1`,
  ` shardgate:shop/s0:${uuid}:1`,
  `shardgate:shop/s0:${uuid}:1\n`,
])('%j is none of ours', (gid) => {
  expect(parseLeg(gid)).toBeNull();
});

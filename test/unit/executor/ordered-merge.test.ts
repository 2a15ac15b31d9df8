import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CAPTURE, DROP } from '../../../src/backend/postgres/expected-replies.js';
import { replies } from '../backend/postgres/replies.js';
import { int32, message } from '../protocol/messages.js';
import { MergeRig, row, settle, specOf } from './merge-rig.js';

const end = (rows: number): Buffer =>
  Buffer.concat([replies.complete(`SELECT ${rows}`), replies.ready()]);
const ascending = specOf('aL');

describe('OrderedMerge', () => {
  test('merges the rows of all shards into one order and adds up the tag', async () => {
    const rig = new MergeRig(3, ascending);
    rig.say(0, row('a', 1), row('d', 4), end(2));
    rig.say(1, row('b', 2), row('c', 3), end(2));
    expect(rig.received).toEqual([]);
    rig.say(2, end(0));
    await settle();
    expect(rig.received).toEqual(['a', 'b', 'c', 'd']);
    expect(rig.outcomes).toEqual(['SELECT 4']);
  });

  test('sends the first row as soon as every shard has shown one', async () => {
    const rig = new MergeRig(2, ascending);
    rig.say(0, row('a', 1), row('c', 3));
    rig.say(1, row('b', 2));
    await settle();
    expect(rig.received).toEqual(['a', 'b']);
    rig.say(1, end(1));
    rig.say(0, end(2));
    expect(rig.received).toEqual(['a', 'b', 'c']);
  });

  test('without keys sends rows as they come', async () => {
    const rig = new MergeRig(2, specOf(''));
    rig.say(1, row('b'));
    rig.say(0, row('a'));
    rig.say(1, row('c'), end(2));
    await settle();
    expect(rig.received).toEqual(['b', 'a', 'c']);
    rig.say(0, end(1));
    expect(rig.outcomes).toEqual(['SELECT 3']);
  });

  test('orders by direction, then nulls, then the next key, then the shard', () => {
    const rig = new MergeRig(2, specOf('dF aL'));
    rig.say(0, row('a', null, 1), row('b', 2, 1), row('c', 2, null), row('d', 1, 0), end(4));
    rig.say(1, row('A', null, 1), row('B', 2, 1), row('C', 2, 7), row('D', 1, -1), end(4));
    expect(rig.received).toEqual(['a', 'A', 'b', 'B', 'C', 'c', 'D', 'd']);
  });

  test('trims the row description and gives the formats that the client asked for', () => {
    const column = (name: string, type: number, format: number) =>
      Buffer.concat([
        Buffer.from(`${name}\0\0\0\x40\x01\0\x02`, 'latin1'),
        Buffer.from([0, 0, 0, type, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, format]),
      ]);
    const described = message('T', 2, column('name', 25, 0), column('sg_k1', 23, 1));
    const rig = new MergeRig(2, ascending, { visibleFormats: [1] });
    rig.say(0, described);
    rig.say(1, described);
    expect(rig.receivedBytes).toEqual(message('T', 1, column('name', 25, 1)));
  });

  test('refuses sort keys of another type than was learnt', () => {
    const column = (name: string, type: number) =>
      Buffer.concat([
        Buffer.from(`${name}\0`),
        int32(0),
        Buffer.alloc(2),
        int32(type),
        Buffer.alloc(8),
      ]);
    const rig = new MergeRig(2, ascending);
    rig.say(1, message('T', 2, column('name', 25), column('sg_k1', 1700)), row('b', 2));
    expect(rig.cancelled).toEqual([0, 1]);
    expect(rig.changes).toBe(1);
    rig.say(0, replies.error('57014'), replies.ready());
    rig.say(1, replies.complete('SELECT 1'), replies.ready());
    expect(rig.outcomes).toEqual(['0A000']);
    expect(rig.received).toEqual([]);
  });

  test('refuses answers of another shape than was planned', () => {
    const rig = new MergeRig(2, ascending);
    rig.say(1, row('b', 2));
    rig.say(0, row('a', 1, 2));
    expect(rig.cancelled).toEqual([0, 1]);
    rig.say(0, replies.error('57014'), replies.ready());
    rig.say(1, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['0A000']);
    expect(rig.received).toEqual([]);
  });
});

test('the end of a BEGIN that goes ahead is not the end of the statement', () => {
  const rig = new MergeRig(2, ascending, {
    endsWithSync: false,
    send: (backend) => {
      backend.query('begin', DROP);
      backend.query('select', CAPTURE);
    },
  });
  for (const shard of [0, 1]) rig.say(shard, replies.complete('BEGIN'), replies.ready('T'));
  rig.say(0, row('b', 2), replies.complete('SELECT 1'));
  expect(rig.outcomes).toEqual([]);
  rig.say(1, row('a', 1), replies.complete('SELECT 1'));
  expect(rig.received).toEqual(['a', 'b']);
  expect(rig.outcomes).toEqual(['SELECT 2']);
});

describe('OrderedMerge with LIMIT', () => {
  test('leaves out OFFSET rows and ends behind LIMIT rows', () => {
    const rig = new MergeRig(2, ascending, { offset: 1n, limit: 2n });
    rig.say(0, row('a', 1), row('c', 3), row('e', 5), end(3));
    rig.say(1, row('b', 2), row('d', 4), row('f', 6), end(3));
    expect(rig.received).toEqual(['b', 'c']);
    expect(rig.outcomes).toEqual(['SELECT 2']);
    expect(rig.cancelled).toEqual([]);
  });

  test('sends rows that tie with the last one', () => {
    const ties = specOf('aL', { withTies: true });
    const rig = new MergeRig(2, ties, { limit: 2n });
    rig.say(0, row('a', 1), row('c', 2), row('d', 2), end(3));
    rig.say(1, row('b', 2), row('e', 3), end(2));
    expect(rig.received.sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(rig.outcomes).toEqual(['SELECT 4']);
  });

  test.each([0n, null])('LIMIT %s', (limit) => {
    const rig = new MergeRig(1, ascending, { limit, offset: 1n });
    rig.say(0, row('a', 1), row('b', 2), end(2));
    expect(rig.outcomes).toEqual([limit === null ? 'SELECT 1' : 'SELECT 0']);
  });

  test('cancels shards that go on, whose errors then do not matter', async () => {
    const rig = new MergeRig(2, specOf(''), { limit: 1n });
    rig.say(0, row('a'), row('b'), end(2));
    expect(rig.received).toEqual(['a']);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(rig.cancelled).toEqual([1]);
    expect(rig.outcomes).toEqual([]);
    rig.say(1, row('c'), replies.error('57014'), replies.ready());
    expect(rig.received).toEqual(['a']);
    expect(rig.outcomes).toEqual(['SELECT 1']);
  });

  test('in a transaction waits for the others instead, and tells their errors', async () => {
    const rig = new MergeRig(2, specOf(''), { limit: 1n, endsWithSync: false });
    rig.say(0, row('a'), replies.complete('SELECT 1'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(rig.cancelled).toEqual([]);
    rig.say(1, row('c'), replies.error('22012'));
    expect(rig.outcomes).toEqual(['22012']);
  });
});

describe('OrderedMerge with failures', () => {
  test('tells the first error, behind the rows that went before, and cancels the others', async () => {
    const rig = new MergeRig(3, ascending);
    rig.say(0, row('a', 1), row('z', 9));
    rig.say(1, row('b', 2));
    rig.say(2, row('y', 8), end(1));
    await settle();
    rig.say(1, replies.error('22012'), replies.ready());
    expect(rig.received).toEqual(['a', 'b']);
    expect(rig.cancelled).toEqual([0, 2]);
    rig.say(0, row('z', 10), replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['22012']);
  });

  test('a shard that is lost ends it', () => {
    const rig = new MergeRig(2, ascending);
    rig.say(0, row('a', 1));
    rig.say(1, row('b', 2).subarray(0, 9));
    rig.lose(1);
    rig.say(0, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['08006']);
  });

  test('an error of our own drains all shards', () => {
    const rig = new MergeRig(2, ascending);
    rig.say(0, row('a', 1));
    rig.merge.abort(replies.error('53200'));
    expect(rig.cancelled).toEqual([0, 1]);
    for (const shard of [0, 1]) rig.say(shard, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['53200']);
  });

  test('a row that is too large to be put together is refused', () => {
    const rig = new MergeRig(2, ascending, { rowBytesMax: 100 });
    rig.say(0, row('x'.repeat(200), 1).subarray(0, 50));
    expect(rig.cancelled).toEqual([0, 1]);
    rig.say(0, row('x'.repeat(200), 1).subarray(50), replies.error('57014'), replies.ready());
    rig.say(1, replies.error('57014'), replies.ready());
    expect(rig.outcomes).toEqual(['54000']);
  });
});

describe('OrderedMerge and a slow client', () => {
  test('reads no further than it can send', () => {
    const rig = new MergeRig(2, ascending);
    rig.clientTakes = () => false;
    const rows = (from: number) =>
      Array.from({ length: 3000 }, (_, i) => row('x'.repeat(40), from + 2 * i));
    rig.queue(0, Buffer.concat([...rows(0), end(3000)]), [60_000]);
    rig.queue(1, Buffer.concat([...rows(1), end(3000)]), [60_000]);
    rig.read();
    expect(rig.transports.map(({ paused }) => paused)).toEqual([true, true]);
    for (let i = 0; rig.clientWaits && i < 100; i++) rig.drain();
    expect(rig.received.length).toBe(6000);
    expect(rig.outcomes).toEqual(['SELECT 6000']);
  });

  test('rows larger than all buffers go through', () => {
    const rig = new MergeRig(2, ascending);
    const large = 'ä'.repeat(200_000);
    rig.clientTakes = () => false;
    rig.queue(0, Buffer.concat([row(large, 1), row('b', 3), end(2)]), [65_536]);
    rig.queue(1, Buffer.concat([row('c', 2), row(`${large}d`, 4), end(2)]), [65_536]);
    rig.read();
    for (let i = 0; rig.clientWaits && i < 100; i++) rig.drain();
    expect(rig.received).toEqual([large, 'c', 'b', `${large}d`]);
  });

  test('notices wait until the client has taken what came before', async () => {
    const rig = new MergeRig(2, ascending);
    rig.clientTakes = () => false;
    rig.say(0, row('a', 1), row('c', 3));
    rig.say(1, row('b', 2));
    await settle();
    rig.say(1, replies.notice('hm'), row('d', 4), end(2));
    rig.drain();
    await settle();
    rig.say(0, end(2));
    for (let i = 0; rig.clientWaits && i < 10; i++) rig.drain();
    expect(rig.received).toEqual(['a', 'b', 'N', 'c', 'd']);
  });
});

/*
 * Goal: whatever the pieces in which bytes come and whenever the client stalls, the client gets the rows that sorting
 * all of them gives. Method: random sorted shards, random cuts, random stalls; buffers in flight are read only when
 * the client takes them, so that a buffer which is used too early shows.
 */
test('any cut of the bytes and any stall of the client gives the same rows', async () => {
  const key = fc.option(fc.integer({ min: 0, max: 6 }), { nil: null });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.tuple(key, key, fc.integer({ min: 0, max: 90 })), { maxLength: 12 }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
      fc.record({
        limit: fc.option(fc.integer({ min: 0, max: 20 }), { nil: null }),
        offset: fc.integer({ min: 0, max: 5 }),
        withTies: fc.boolean(),
        endsWithSync: fc.boolean(),
      }),
      async (shards, sizes, takes, { limit, offset, withTies, endsWithSync }) => {
        const spec = specOf('aF dL', { withTies });
        const limits = { limit: limit === null ? null : BigInt(limit), offset: BigInt(offset) };
        const sorted = shards.map((rows) => [...rows].sort(byKeys));
        const all = sorted.flat().sort(byKeys);
        const rig = new MergeRig(shards.length, spec, { ...limits, endsWithSync });
        let turn = 0;
        rig.clientTakes = () => takes[turn++ % takes.length]!;
        sorted.forEach((rows, shard) => {
          const bytes = rows.map(([a, b, size]) => row(`${a},${b},${'x'.repeat(size)}`, a, b));
          const tail = endsWithSync ? end(rows.length) : replies.complete(`SELECT ${rows.length}`);
          rig.queue(shard, Buffer.concat([...bytes, tail]), sizes);
        });
        rig.read();
        for (let i = 0; rig.outcomes.length === 0 && i < 500; i++) {
          if (rig.clientWaits) rig.drain();
          rig.read();
          await settle();
        }
        while (rig.clientWaits) rig.drain();
        const keys = rig.received.map((text) => text.split(',').slice(0, 2).join());
        const last = limit === null ? all.length : offset + limit;
        let stop = Math.min(all.length, last);
        while (withTies && limit !== null && limit > 0 && stop > offset && stop < all.length) {
          if (byKeys(all[stop]!, all[stop - 1]!) !== 0) break;
          stop++;
        }
        expect(keys).toEqual(all.slice(offset, stop).map(([a, b]) => `${a},${b}`));
        expect(rig.outcomes.length).toBe(1);
        expect(rig.outcomes[0]).toMatch(/^SELECT \d+$/);
      },
    ),
    { numRuns: 300 },
  );
});

type Keys = readonly [number | null, number | null, number];

/** Ascending nulls first, then descending nulls last. */
function byKeys(a: Keys, b: Keys): number {
  const first = a[0] === b[0] ? 0 : a[0] === null ? -1 : b[0] === null ? 1 : a[0] - b[0];
  if (first !== 0) return first;
  return a[1] === b[1] ? 0 : a[1] === null ? 1 : b[1] === null ? -1 : b[1] - a[1];
}

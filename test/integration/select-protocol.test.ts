/*
 * How merged and gathered SELECTs behave as messages: formats by column, pipelines, Flush, errors in
 * the middle, statements and portals used again, rows of any size.
 */
import { describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';
import type { WireClient } from '../support/wire-client.js';
import { summary } from '../support/wire-messages.js';
import type { WirePair } from '../support/wire-pair.js';

const WIDE_COLUMNS = 400;
const BIG_ROWS = 60;

const wide = Array.from({ length: WIDE_COLUMNS }, (_, i) => `c${i}`);
const wideRows = Array.from({ length: 20 }, (_, id) => {
  return `(${id}, ${wide.map((_, i) => ((id * i) % 7 === 0 ? 'NULL' : id + i)).join(', ')})`;
});
const bigRows = Array.from({ length: BIG_ROWS }, (_, id) => {
  return `(${id}, ${id % 7}, repeat('${'abcdefg'[id % 7]!}', ${(id * id * 97) % 300_000}))`;
});

const suite = selectSuite(
  'select_protocol',
  [
    `CREATE TABLE wide (id int8 PRIMARY KEY, ${wide.map((name) => `${name} int4`).join(', ')})`,
    `INSERT INTO wide VALUES ${wideRows.join(', ')}`,
    'CREATE TABLE big (id int8 PRIMARY KEY, k int4, body text)',
    `INSERT INTO big VALUES ${bigRows.join(', ')}`,
  ],
  ['wide', 'big'],
);

/** Types of ours have other OIDs on each server, so enums go as text here. */
const MERGE = 'SELECT id, t, n, tz, e::text FROM users ORDER BY iv, e, id';
const GATHER =
  'SELECT u.id, e.t, e.w, u.tz, u.e::text FROM users u JOIN events e ON e.a = u.a ORDER BY 1, e.code, e.seq';
const GATHERED = 'SELECT u.id FROM users u JOIN events e ON e.a = u.a';
const GROUPS = 'SELECT a, count(*), sum(q), max(tz), min(e)::text FROM users GROUP BY a ORDER BY a';
const all = [MERGE, GATHER, GROUPS];

async function withPair(work: (pair: WirePair) => Promise<void>): Promise<void> {
  const pair = await suite.pair();
  try {
    await work(pair);
  } finally {
    pair.close();
  }
}

describe.each([
  ['merge', MERGE],
  ['gather', GATHER],
  ['groups', GROUPS],
])('%s', (_name, sql) => {
  test.each([[[0]], [[1]], [[1, 0, 1, 0, 0]], [[0, 1, 0, 1, 1]], [[]]])(
    'has each column in the format that was asked for: %j',
    (resultFormats) =>
      withPair(async (pair) => {
        await pair.expectSame((client) => {
          client.parse(sql);
          client.bind({ resultFormats });
          client.describe('P');
          client.execute();
          client.sync();
        });
      }),
  );

  test('may come byte by byte, or with everything else in one piece', () =>
    withPair(async (pair) => {
      for (const delivery of ['bytes', 'coalesced'] as const) {
        await pair.expectSame(
          (client) => {
            run(client, sql);
            client.query(sql);
          },
          { delivery, syncs: 2 },
        );
      }
    }));

  test('is answered behind Flush, before Sync', () =>
    withPair(async (pair) => {
      const read = async (client: WireClient): Promise<string[]> => {
        client.parse(sql);
        client.bind();
        client.execute();
        client.flush();
        const messages = await client.until('C');
        client.parse('SELECT 1');
        client.bind();
        client.execute();
        client.sync();
        return [...messages, ...(await client.until('Z'))].map(summary);
      };
      expect(await read(pair.proxy)).toEqual(await read(pair.oracle));
    }));

  test('in a pipeline, an error skips what is behind it up to Sync', () =>
    withPair(async (pair) => {
      await pair.expectSame(
        (client) => {
          for (const one of [...all, 'SELECT nothing', ...all]) {
            client.parse(one);
            client.bind();
            client.execute();
          }
          client.sync();
          run(client, sql);
        },
        { syncs: 2, codesOnly: true },
      );
    }));

  test('between others that one shard answers, the order of answers stays', () =>
    withPair(async (pair) => {
      await pair.expectSame((client) => {
        for (const one of ['SELECT 1', sql, 'SELECT t FROM users WHERE id = 3', sql, 'SELECT 2']) {
          client.parse(one);
          client.bind();
          client.describe('P');
          client.execute();
        }
        client.sync();
      });
    }));

  test('as a named statement, bound again and again, described and closed', () =>
    withPair(async (pair) => {
      await pair.expectSame(
        (client) => {
          client.parse(sql, 'again');
          client.describe('S', 'again');
          client.sync();
          for (let i = 0; i < 3; i++) {
            client.bind({ statement: 'again', portal: `p${i}` });
            client.execute(`p${i}`);
            client.closeNamed('P', `p${i}`);
            client.sync();
          }
          client.closeNamed('S', 'again');
          client.bind({ statement: 'again' });
          client.sync();
        },
        { syncs: 5, codesOnly: true },
      );
    }));

  test('in a transaction that fails later, and in the next one', () =>
    withPair(async (pair) => {
      await pair.expectSame(
        (client) => {
          for (const one of [
            'BEGIN',
            sql,
            'SELECT 1 / 0',
            sql,
            'ROLLBACK',
            'BEGIN',
            sql,
            'COMMIT',
          ]) {
            client.query(one);
          }
        },
        { syncs: 8, codesOnly: true },
      );
    }));
});

function run(client: WireClient, sql: string): void {
  client.parse(sql);
  client.bind();
  client.describe('P');
  client.execute();
  client.sync();
}

test.each([
  ['comes behind the RowDescription at run time', 'SELECT sum(1 / (id - id)) FROM users'],
  ['also of distinct rows', 'SELECT DISTINCT 1 / (id - id) FROM users'],
  ['also of a join', 'SELECT u.id / (e.seq - e.seq) FROM users u JOIN events e ON e.a = u.a'],
  ['also of a condition that one table meets', `${GATHERED} WHERE 1 / (u.id - u.id) > 0`],
  ['stands alone where planning finds it', 'SELECT sum(1 / 0) FROM users'],
])('an error of a gathered simple query %s', (_name, sql) =>
  withPair(async (pair) => {
    await pair.expectSame((client) => {
      client.query(sql);
    });
  }),
);

describe('rows of any size', () => {
  suite.answered([
    'SELECT * FROM wide ORDER BY id DESC',
    'SELECT a.*, b.* FROM wide a JOIN wide b ON a.c1 = b.id ORDER BY a.id',
    `SELECT id FROM wide ORDER BY ${wide.slice(0, 40).join(', ')}, id`,
    `SELECT ${wide.slice(0, 60).join(', ')}, count(*) FROM wide GROUP BY ${wide.slice(0, 60).join(', ')}`,
    'SELECT id, body FROM big ORDER BY id',
    'SELECT id, body FROM big ORDER BY body, id',
    'SELECT id, length(body) FROM big ORDER BY body DESC, id LIMIT 10',
    'SELECT a.id, b.body FROM big a JOIN big b ON a.k = b.id ORDER BY a.id',
    'SELECT k, max(body), count(DISTINCT body) FROM big GROUP BY k ORDER BY k',
    'SELECT length(string_agg(body, $$,$$ ORDER BY id)) FROM big',
    'SELECT md5(string_agg(body, $$,$$ ORDER BY id)) FROM big',
  ]);

  test('text of a megabyte as a parameter', () =>
    withPair(async (pair) => {
      const long = 'y'.repeat(2 ** 20);
      await pair.expectSame((client) => {
        client.parse('SELECT id, length($1) FROM big WHERE body < $1 ORDER BY id');
        client.bind({ values: [long] });
        client.describe('P');
        client.execute();
        client.sync();
      });
    }));
});

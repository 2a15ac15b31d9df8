import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { arrayParameters, binaryArray } from '../../../src/executor/array-parameter.js';
import { GatheredSize } from '../../../src/executor/gather-limits.js';
import { message, int32 } from '../protocol/messages.js';
import { replies } from '../backend/postgres/replies.js';
import { described, described18, GatherRig } from './gather-rig.js';

/** A row of two columns in binary. */
function row(a: number, b: string | null): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigInt64BE(BigInt(a));
  const text = Buffer.from(b ?? '');
  return message('D', 2, int32(8), key, int32(b === null ? -1 : text.length), text);
}

/** The answer to the final statement: Parse, Bind, Describe, Execute. */
const finalAnswer = (...rows: readonly Buffer[]): readonly Buffer[] => [
  described,
  ...rows,
  replies.complete(`SELECT ${rows.length}`),
];

describe('small inputs', () => {
  test('are run on all shards at once and travel as parameters of the final statement', () => {
    const rig = new GatherRig([[1, 2]]);
    expect(rig.texts(1)).toEqual(['SELECT 0']);
    expect(rig.texts(2)).toEqual(['SELECT 0']);
    rig.answerInput(2, row(2, null), replies.complete('SELECT 1'));
    expect(rig.texts(0)).toEqual([]);
    rig.answerInput(1, row(1, 'x'), replies.complete('SELECT 1'));
    const sent = rig.sent(0);
    const parse = sent.find(({ type }) => type === 'P')!.content;
    expect(parse.toString('utf8', 1, parse.indexOf(0, 1))).toBe(
      'SELECT * FROM (SELECT pg_catalog.unnest($1) AS a,' +
        ' pg_catalog.unnest($2)::varchar(10) AS b) AS i0',
    );
    const arrays = [
      { elementOid: 20, arrayOid: 1016, cast: null },
      { elementOid: 1043, arrayOid: 1015, cast: null },
    ];
    const [a, b] = arrayParameters([row(1, 'x'), row(2, null)], 2, arrays);
    const bind = sent.find(({ type }) => type === 'B')!.content;
    expect(bind.includes(a!) && bind.includes(b!)).toBe(true);
    rig.answer(0, ...finalAnswer(row(7, 'out')));
    expect(rig.passed).toBe(row(7, 'out').toString('latin1'));
    expect(rig.outcome).toBe('SELECT 1');
    expect(rig.madeTables).toBe(0);
  });

  test('of the home are asked for with a limit, so that it can go on with a table', () => {
    const rig = new GatherRig([[0, 1]]);
    const execute = rig.sent(0).find(({ type }) => type === 'E')!;
    expect(execute.content.readInt32BE(1)).toBe(1001);
    rig.answerInput(0, row(1, 'mine'), replies.portalSuspended);
    expect(rig.texts(0)).toEqual([
      'CREATE TEMPORARY TABLE t0 (a, b) ON COMMIT DROP AS SELECT 0\nWITH DATA',
      'COPY t0 FROM STDIN (FORMAT binary)',
    ]);
    expect(rig.madeTables).toBe(1);
  });

  test('that turn out large go into tables, those rows first kept included', () => {
    const rig = new GatherRig([[1]]);
    const rows = Array.from({ length: 1500 }, (_, i) => row(i, `row ${i}`));
    rig.answerInput(1, ...rows.slice(0, 1200));
    rig.texts(0);
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    rig.say(1, ...rows.slice(1200), replies.complete('SELECT 1500'));
    expect(copied(rig)).toEqual(rows.map((each) => each.subarray(5).toString('latin1')).sort());
  });

  test('that hold no row give empty arrays', () => {
    const rig = new GatherRig([[1]]);
    rig.answerInput(1, replies.complete('SELECT 0'));
    rig.answer(0, ...finalAnswer());
    expect(rig.outcome).toBe('SELECT 0');
  });
});

/** Rows that the home's COPY got, sorted; checks header and trailer. */
function copied(rig: GatherRig): string[] {
  const data = Buffer.concat(
    rig.sent(0).flatMap(({ type, content }) => (type === 'd' ? [content] : [])),
  );
  expect(data.subarray(0, 11).toString('latin1')).toBe('PGCOPY\n\xff\r\n\0');
  expect(data.readInt16BE(data.length - 2)).toBe(-1);
  const rows: string[] = [];
  let at = 19;
  while (at < data.length - 2) {
    const start = at;
    const columns = data.readInt16BE(at);
    at += 2;
    for (let i = 0; i < columns; i++) at += 4 + Math.max(0, data.readInt32BE(at));
    rows.push(data.toString('latin1', start, at));
  }
  return rows.sort();
}

describe('inputs that are read by values of others', () => {
  const link = { input: 0, column: 0, name: 'b', key: null };

  test('wait for them, and go to those that may have such rows', () => {
    const readersOf = (): BackendConnection[] => [rig.backends[2]!];
    const rig = new GatherRig([[1], [1, 2]], { readersOf, endsWithSync: true }, [null, link]);
    expect(rig.texts(1)).toEqual(['SELECT 0']);
    expect(rig.texts(2)).toEqual([]);
    rig.answerInput(1, row(7, 'x'), row(7, null), row(9, 'y'), replies.complete('SELECT 3'));
    expect(rig.sent(1).map(({ type }) => type)).toEqual(['S']);
    const sent = rig.sent(2);
    const parse = sent.find(({ type }) => type === 'P')!.content;
    expect(parse.toString('utf8', 1, parse.indexOf(0, 1))).toBe(
      'SELECT * FROM (SELECT 1\n) AS sg_rows WHERE sg_rows.b OPERATOR(pg_catalog.=) ANY ($1)',
    );
    const bind = sent.find(({ type }) => type === 'B')!.content;
    const keys = [7, 9].map((key) => row(key, null).subarray(11, 19));
    expect(bind.includes(binaryArray(keys, 20))).toBe(true);
    expect(sent.at(-1)!.type).toBe('S');
    rig.say(1, replies.ready('I'));
    rig.answerInput(2, row(1, 'z'), replies.complete('SELECT 1'), replies.ready('I'));
    rig.answer(0, ...finalAnswer(), replies.ready('I'));
    expect(rig.outcome).toBe('SELECT 0');
  });

  test('find the others as they were where they turn out large themselves', () => {
    const rig = new GatherRig([[0, 1], [2]], { readsInPlace: true }, [null, link]);
    rig.answerInput(0, row(7, 'mine'), replies.complete('SELECT 1'));
    rig.answerInput(1, row(8, 'other'), replies.complete('SELECT 1'));
    rig.texts(0);
    rig.answerInput(2, ...Array.from({ length: 1200 }, (_, i) => row(i, 'many')));
    expect(rig.texts(0)[0]).toMatch(/^CREATE TEMPORARY TABLE t0 .*\nWITH NO DATA$/);
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    const data = Buffer.concat(
      rig.sent(0).flatMap(({ type, content }) => (type === 'd' ? [content] : [])),
    ).toString('latin1');
    expect([data.includes('mine'), data.includes('other')]).toEqual([true, true]);
  });

  test('are read whole where the others turn out large', () => {
    const rig = new GatherRig([[1], [2]], { endsWithSync: true }, [null, link]);
    const rows = Array.from({ length: 1500 }, (_, i) => row(i, `row ${i}`));
    rig.answerInput(1, ...rows.slice(0, 1200));
    expect(rig.texts(2)).toEqual(['SELECT 1']);
    expect(rig.texts(0)[0]).toMatch(/^CREATE TEMPORARY TABLE t0/);
  });
});

describe('large inputs', () => {
  test('of several shards become one stream of whole rows, however they are cut and whoever is slow', () => {
    const text = fc.integer({ min: 0, max: 6000 }).map((size) => 'x'.repeat(size));
    const shardRows = fc.array(text, { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.tuple(shardRows, shardRows, shardRows),
        fc.array(fc.integer({ min: 1, max: 2500 }), { minLength: 10, maxLength: 40 }),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 200 }),
        (contents, sizes, turns) => {
          const rig = new GatherRig([[1, 2, 3]], { startsSmall: false });
          let writes = 0;
          rig.transports[0]!.takes = () => turns[writes++ % turns.length]! % 3 > 0;
          rig.answer(0, replies.complete('CREATE TABLE AS'));
          rig.answer(0, replies.copyIn);
          contents.forEach((texts, i) => {
            const rows = texts.map((text, n) => row(n, text));
            const head = [message('1'), message('2'), described];
            const all = [...head, ...rows, replies.complete('SELECT')];
            rig.trickle(i + 1, Buffer.concat(all), sizes);
          });
          for (const turn of turns) {
            if (turn < 4) rig.readOne(turn);
            else if (turn === 4) rig.transports[0]!.drain();
          }
          for (let i = 0; i < 2000; i++) {
            rig.transports[0]!.drain();
            rig.read();
          }
          const wanted = contents.flatMap((texts) =>
            texts.map((text, n) => row(n, text).subarray(5).toString('latin1')),
          );
          expect(copied(rig)).toEqual(wanted.sort());
        },
      ),
      { numRuns: 60 },
    );
  });

  test('of several tables are copied one after the other; who is ahead waits', () => {
    const rig = new GatherRig([[1, 2], [1]], { startsSmall: false, dropsTables: true });
    rig.answerInput(1, row(1, 'a'), replies.complete('SELECT 1'));
    rig.answerInput(1, row(9, 'second'), replies.complete('SELECT 1'));
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    expect(rig.transports[1]!.paused).toBe(true);
    rig.answerInput(2, replies.complete('SELECT 0'));
    expect(copied(rig)).toHaveLength(1);
    rig.say(0, replies.complete('COPY 1'));
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    const second = rig.sent(0);
    expect(second.filter(({ type }) => type === 'c')).toHaveLength(1);
    const texts = second.filter(({ type }) => type === 'P').map(({ content }) => String(content));
    expect(texts.at(-2)).toContain('SELECT * FROM t0 AS i0, t1 AS i1');
    expect(texts.at(-1)).toContain('DROP TABLE t0, t1');
    rig.say(0, replies.complete('COPY 1'));
    rig.answer(0, ...finalAnswer());
    expect(rig.outcome).toBe(null);
    rig.answer(0, replies.complete('DROP TABLE'));
    expect(rig.outcome).toBe('SELECT 0');
  });

  test('beyond limits.gather_memory are refused, and nothing is left running', () => {
    const size = new GatheredSize({ gatherMemoryBytes: 100, gatherRowsMax: 0 });
    const rig = new GatherRig([[1, 2]], { startsSmall: false, size });
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    rig.answerInput(1, row(1, 'x'.repeat(100)));
    expect(rig.sent(0).at(-2)!.type).toBe('f');
    expect(rig.cancelled.sort()).toEqual([1, 2]);
    rig.say(0, replies.error('57014'));
    rig.say(1, replies.error('57014'));
    rig.answerInput(2, row(5, 'dropped'), replies.complete('SELECT 1'));
    expect(rig.outcome).toBe('53200');
  });
});

describe('beyond limits.gather_rows', () => {
  const bounds = { gatherMemoryBytes: 1_000_000, gatherRowsMax: 2 };

  test('rows are refused while they stream', () => {
    const rig = new GatherRig([[1, 2]], { startsSmall: false, size: new GatheredSize(bounds) });
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    rig.answerInput(1, row(1, 'x'), row(2, 'x'));
    expect(rig.cancelled).toEqual([]);
    rig.say(1, row(3, 'x'));
    expect(rig.sent(0).at(-2)!.type).toBe('f');
    expect(rig.cancelled.sort()).toEqual([1, 2]);
  });

  test('rows are refused while they are kept', () => {
    const rig = new GatherRig([[1]], { size: new GatheredSize(bounds) });
    rig.answerInput(1, row(1, 'x'), row(2, 'x'), row(3, 'x'));
    expect(rig.cancelled).toEqual([1]);
  });

  test("the home's own rows count when a table has them", () => {
    const rig = new GatherRig([[0, 1]], { startsSmall: false, size: new GatheredSize(bounds) });
    rig.answer(0, replies.complete('SELECT 3'));
    rig.answerInput(1, replies.complete('SELECT 0'));
    rig.say(0, replies.error('57014'));
    expect(rig.outcome).toBe('53200');
  });
});

describe('rows of the home that stay where they are', () => {
  const final = (relation: string): string => `SELECT * FROM ${relation} AS i0`;
  const own = 'SELECT * FROM (SELECT 0\n) AS sg_own (a, b)';

  test('are read beside those of the others, by a final statement that joins by hash', () => {
    const options = { startsSmall: false, readsInPlace: true, dropsTables: true };
    const rig = new GatherRig([[0, 1]], options);
    expect(rig.texts(0)[0]).toBe(
      'CREATE TEMPORARY TABLE t0 (a, b) ON COMMIT DROP AS SELECT 0\nWITH NO DATA',
    );
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    rig.answerInput(1, row(1, 'x'), replies.complete('SELECT 1'));
    const [settings, statement, ...behind] = rig.texts(0);
    expect(settings).toMatch(/^SELECT .*set_config\('enable_nestloop', 'off', true\)/);
    expect(statement).toBe(final(`(SELECT * FROM t0 UNION ALL ${own})`));
    expect(behind).toEqual([settings!.replaceAll("'off'", 'NULL'), 'DROP TABLE t0']);
    expect(rig.madeTables).toBe(1);
  });

  test('need no table where nobody else has any', () => {
    const options = { startsSmall: false, readsInPlace: true, endsWithSync: true };
    const rig = new GatherRig([[0]], options);
    const [, statement, ...behind] = rig.texts(0);
    expect(statement).toBe(final(`(${own})`));
    expect(behind).toEqual([]);
    expect(rig.madeTables).toBe(0);
  });
});

describe('errors', () => {
  test('of one shard cancel the others, and are told when all have ended, without a position', () => {
    const rig = new GatherRig([[0, 1, 2]]);
    rig.answer(1, message('E', 'SERROR\0C22012\0Mdivision by zero\0P12\0\0'));
    expect(rig.cancelled.sort()).toEqual([0, 2]);
    expect(rig.outcome).toBe(null);
    rig.say(0, replies.error('57014'));
    rig.say(2, replies.error('57014'));
    expect(rig.outcome).toBe('22012');
  });

  test('of a transaction that may not write name the way out', () => {
    const rig = new GatherRig([[1]], { startsSmall: false });
    rig.answer(0, replies.error('25006'));
    rig.say(1, replies.error('57014'));
    expect(rig.outcome).toBe('0A000');
  });

  test('of a lost shard in the middle of a row leave the home with whole messages', () => {
    const rig = new GatherRig([[1, 2]], { startsSmall: false });
    rig.answer(0, replies.complete('CREATE TABLE AS'));
    rig.answer(0, replies.copyIn);
    const long = row(1, 'x'.repeat(20_000));
    rig.answerInput(1, long.subarray(0, 9000));
    rig.lose(1);
    expect(
      rig
        .sent(0)
        .map(({ type }) => type)
        .join(''),
    ).toContain('ddfH');
    rig.say(0, replies.error('57014'));
    rig.say(2, replies.error('57014'));
    expect(rig.outcome).toBe('08006');
  });

  test('of the home in the middle of a row close the client', () => {
    const rig = new GatherRig([[1]]);
    rig.answerInput(1, replies.complete('SELECT 0'));
    rig.answer(0, described, row(1, 'abcdef').subarray(0, 20));
    rig.lose(0);
    expect(rig.broken).toBe(true);
  });

  test('columns of other types than were told are never passed on', () => {
    const rig = new GatherRig([[1]]);
    rig.answerInput(1, replies.complete('SELECT 0'));
    const other = message('T', 2, 'a\0', described18(23), 'b\0', described18(1043));
    rig.answer(0, other, row(1, 'x'), replies.complete('SELECT 1'));
    expect(rig.passed).toBe('');
    expect(rig.outcome).toBe('0A000');
    expect(rig.changes).toBe(1);
  });

  test('an input of other types than were learnt is never read', () => {
    const rig = new GatherRig([[1, 2]]);
    rig.answerInput(1, row(1, 'x'), replies.complete('SELECT 1'));
    const other = message('T', 2, 'a\0', described18(701), 'b\0', described18(1043));
    rig.answer(2, other, row(2, 'y'), replies.complete('SELECT 1'));
    expect(rig.texts(0)).toEqual([]);
    expect(rig.outcome).toBe('0A000');
    expect(rig.changes).toBe(1);
  });
});

import fc from 'fast-check';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { CopyConcat } from '../../src/executor/copy/copy-concat.js';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import type { CopyFormat } from '../../src/planner/plan.js';
import { WireClient } from '../support/wire-client.js';
import { frame } from '../support/wire-messages.js';
import {
  csvFormat,
  cutsArbitrary,
  plan,
  shardNames,
  shardOf,
  split,
  textFormat,
  vindex,
} from '../unit/executor/copy/splitting.js';

/*
 * COPY data, good and bad, is loaded into one table as it is and, split, into one table for each shard. Goal: whatever
 * Postgres makes of the whole, it makes of the parts together, and each row stands on the shard of its key; data that
 * Postgres refuses is refused. FUZZ_SECONDS makes each format run that long, FUZZ_SEED repeats a run,
 * SHARDGATE_ORACLE_URL names another server, PostgreSQL 15 or later.
 */
const url = process.env['SHARDGATE_ORACLE_URL'] ?? inject('oracleUrl');
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
const RUNS = 80;

const client = new pg.Client({ connectionString: url });
let serverMajor = 0;

beforeAll(async () => {
  console.log(`copy-rows: FUZZ_SEED=${seed}`);
  await client.connect();
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS version`,
  );
  serverMajor = rows[0]!.version;
});

afterAll(async () => {
  await client.end();
});

interface Columns {
  readonly names: readonly string[];
  readonly types: readonly ('text' | 'int4')[];
  /** Place of the key. */
  readonly field: number;
}

/** The message of the error that the server answers; null: it took the data. */
async function load(table: string, options: string, data: Buffer): Promise<string | null> {
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN (${options})`));
  return new Promise((resolve) => {
    stream.on('error', (error) => {
      resolve(error.message);
    });
    stream.on('finish', () => {
      resolve(null);
    });
    stream.end(data);
  });
}

/** All rows as text, sorted, each with its key in front; the table is empty afterwards. */
async function take(table: string, { names, field }: Columns): Promise<[string, string][]> {
  const { rows } = await client.query<[string, string]>({
    text: `SELECT ${names[field]!}::text, t::text FROM ${table} AS t`,
    rowMode: 'array',
  });
  await client.query(`TRUNCATE ${table}`);
  return rows.sort(([, one], [, other]) => (one < other ? -1 : 1));
}

/** Counts what became of the data, so that a test that compares nothing fails. */
const outcomes = { taken: 0, refusedByBoth: 0, refusedByUs: 0 };

async function compare(
  columns: Columns,
  options: string,
  format: CopyFormat,
  data: Buffer,
  cuts: readonly number[],
): Promise<void> {
  const { field, types, names } = columns;
  const type = types[field]!;
  const wholeError = await load('whole', options, data);
  const whole = await take('whole', columns);
  const copy = plan(format, names.length, field, type);
  const { streams, rows, error } = split(copy, data, { cuts, csvEndMarker: serverMajor < 18 });
  if (error !== null) {
    if (wholeError !== null) outcomes.refusedByBoth++;
    else {
      outcomes.refusedByUs++;
      expect(error.message).toMatch(/^null value in shard key|^end-of-copy marker is not alone/);
    }
    return;
  }
  const errors: string[] = [];
  const parts: [string, string][] = [];
  for (const name of shardNames) {
    const partError = await load(name, options, Buffer.from(streams[name]!, 'latin1'));
    if (partError !== null) errors.push(partError);
    const part = await take(name, columns);
    for (const [key] of part) expect([key, shardOf(key, type)]).toEqual([key, name]);
    parts.push(...part);
  }
  if (wholeError !== null) {
    expect(errors).not.toEqual([]);
    outcomes.refusedByBoth++;
    return;
  }
  expect(errors).toEqual([]);
  expect(parts.sort(([, one], [, other]) => (one < other ? -1 : 1))).toEqual(whole);
  expect(rows).toBe(whole.length);
  outcomes.taken++;
}

async function check(
  columns: Columns,
  options: string,
  format: CopyFormat,
  data: fc.Arbitrary<Buffer>,
): Promise<void> {
  Object.assign(outcomes, { taken: 0, refusedByBoth: 0, refusedByUs: 0 });
  const definition = columns.names.map((name, i) => `${name} ${columns.types[i]!}`).join(', ');
  const tables = ['whole', ...shardNames];
  await client.query(tables.map((name) => `CREATE TEMP TABLE ${name} (${definition})`).join(';'));
  try {
    await fc.assert(
      fc.asyncProperty(data, cutsArbitrary, (bytes, cuts) =>
        compare(columns, options, format, bytes, cuts),
      ),
      seconds === 0
        ? { seed, numRuns: RUNS }
        : { seed, numRuns: 1_000_000, interruptAfterTimeLimit: seconds * 1000 },
    );
  } finally {
    await client.query(`DROP TABLE ${tables.join(', ')}`);
  }
  console.log(`COPY (${options}): ${JSON.stringify(outcomes)}`);
  expect(outcomes.taken).toBeGreaterThan(RUNS / 20);
  expect(outcomes.refusedByBoth).toBeGreaterThan(0);
}

const words = ['a', 'b', 'c', 'd', 'xyz', '€', '17'];
const numbers = ['1', '-7', '17', '+5', ' 3 ', '007', '123456', '2147483647', '0', '42'];

/** Lines that are mostly well formed: right number of fields, one newline style. */
function lines(
  columns: number,
  delimiter: string,
  odd: readonly string[],
  values: readonly string[] = words,
): fc.Arbitrary<Buffer> {
  const oddField = fc.array(fc.constantFrom('a', '1', ' ', 'é', ...odd), { maxLength: 5 });
  const field = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...values) },
    { weight: 1, arbitrary: oddField.map((parts) => parts.join('')) },
  );
  const fields = (count: number): fc.Arbitrary<string> =>
    fc.array(field, { minLength: count, maxLength: count }).map((texts) => texts.join(delimiter));
  const line = fc.oneof(
    { weight: 40, arbitrary: fields(columns) },
    { weight: 1, arbitrary: fc.nat(columns + 1).chain(fields) },
    { weight: 1, arbitrary: fc.constant('\\.') },
  );
  const newline = fc.constantFrom('\n', '\r', '\r\n');
  const ownNewline = fc.oneof(
    { weight: 60, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: newline },
  );
  return fc
    .tuple(fc.array(fc.tuple(line, ownNewline), { maxLength: 8 }), newline, fc.boolean())
    .map(([each, usual, last]) => {
      const text = each.map(([content, own]) => content + (own ?? usual)).join('');
      return Buffer.from(last ? text : text.slice(0, -usual.length));
    });
}

const oneColumn: Columns = { names: ['k'], types: ['text'], field: 0 };
const keyFirst: Columns = { names: ['k', 'a', 'b'], types: ['text', 'text', 'text'], field: 0 };
const keyMiddle: Columns = { names: ['a', 'k', 'b'], types: ['text', 'text', 'text'], field: 1 };
const numberKey: Columns = { names: ['a', 'k'], types: ['text', 'int4'], field: 1 };

const valuesOf = (columns: Columns): string[] => (columns === numberKey ? numbers : words);
const backslashes = ['\\', '\\\\', '\\N', '\\.', '\\n', '\\x4', '\\1', '\\\n', '\\\r', '\t', '.'];
const quotes = ['"', '""', '"a"', '",\n\r"', ',', '\\.', '\\', "'"];

describe('COPY text', () => {
  test.each([
    ['one column', oneColumn, '', textFormat()],
    ['the key first', keyFirst, '', textFormat()],
    ['a header', keyMiddle, ', HEADER', textFormat({ header: true })],
    ['a number for key', numberKey, '', textFormat()],
  ])('with %s loads split as it loads whole', async (_name, columns, options, format) => {
    const data = lines(columns.names.length, '\t', backslashes, valuesOf(columns));
    await check(columns, `FORMAT text${options}`, format, data);
  });

  test('with another delimiter and NULL loads split as it loads whole', async () => {
    const format = textFormat({ delimiter: 0x7c, nullText: Buffer.from('a\\b') });
    const data = lines(3, '|', [...backslashes, 'a\\b', '\\|', '|']);
    await check(keyMiddle, `FORMAT text, DELIMITER '|', NULL 'a\\b'`, format, data);
  });
});

describe('COPY csv', () => {
  test.each([
    ['one column', oneColumn, '', csvFormat()],
    ['one column that is never NULL', oneColumn, ", NULL 'zz'", { nullText: Buffer.from('zz') }],
    ['the key first', keyFirst, '', {}],
    ['a header', keyMiddle, ', HEADER', { header: true }],
    ['a backslash to escape', keyFirst, ", ESCAPE '\\'", { escape: 0x5c }],
    ['the delimiter to escape', keyFirst, ", ESCAPE ','", { escape: 0x2c }],
    ['other quotes', keyMiddle, ", QUOTE '''', ESCAPE 'a'", { quote: 0x27, escape: 0x61 }],
    [
      'NULL that is forced',
      keyFirst,
      ", NULL 'b', FORCE_NULL (k)",
      { nullText: Buffer.from('b'), forceNull: true },
    ],
    [
      'NULL that is ruled out',
      keyFirst,
      ", NULL 'b', FORCE_NOT_NULL (k)",
      { nullText: Buffer.from('b'), forceNotNull: true },
    ],
    ['a number for key', numberKey, '', {}],
  ] as [string, Columns, string, Parameters<typeof csvFormat>[0]][])(
    'with %s loads split as it loads whole',
    async (_name, columns, options, format) => {
      const data = lines(columns.names.length, ',', [...quotes, '\\"', 'a"'], valuesOf(columns));
      await check(columns, `FORMAT csv${options}`, csvFormat(format), data);
    },
  );

  test('with a backslash for quote loads split as it loads whole, or is refused', async () => {
    if (serverMajor < 18) return;
    const data = lines(3, ',', ['\\', '\\.', '\\\\']);
    await check(keyFirst, `FORMAT csv, QUOTE '\\'`, csvFormat({ quote: 0x5c }), data);
  });
});

describe('COPY binary', () => {
  const value = fc.option(
    fc.constantFrom('', 'a', 'é', 'a longer value').map((text) => Buffer.from(text)),
  );
  const tuples = fc.array(fc.tuple(value, fc.integer()), { maxLength: 8 }).map((rows) =>
    Buffer.concat([
      Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1'),
      ...rows.map(([text, key]) => {
        const length = text?.length ?? 0;
        const row = Buffer.alloc(2 + 4 + length + 8);
        row.writeInt16BE(2, 0);
        row.writeInt32BE(text === null ? -1 : length, 2);
        text?.copy(row, 6);
        row.writeInt32BE(4, 6 + length);
        row.writeInt32BE(key, 10 + length);
        return row;
      }),
      Buffer.from([0xff, 0xff]),
    ]),
  );

  test('loads split as it loads whole', async () => {
    const damage = fc.record({
      at: fc.nat(),
      byte: fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xff),
      cut: fc.boolean(),
    });
    const data = fc.tuple(tuples, fc.option(damage, { freq: 2 })).map(([bytes, damaged]) => {
      if (damaged === null) return bytes;
      const at = damaged.at % bytes.length;
      if (damaged.cut) return bytes.subarray(0, at);
      bytes[at] = damaged.byte;
      return bytes;
    });
    await check(numberKey, 'FORMAT binary', { kind: 'binary' }, data);
  });
});

describe('COPY TO of several shards, joined', () => {
  /** The CopyData messages of a COPY TO STDOUT, as they come. */
  async function wire(statements: readonly string[]): Promise<Buffer[]> {
    const { port, hostname, username, pathname } = new URL(url);
    const options = { host: hostname, port: Number(port), user: username };
    const session = await WireClient.login({ ...options, database: pathname.slice(1) });
    try {
      const streams: Buffer[] = [];
      for (const sql of statements) {
        session.query(sql);
        const messages = await session.until('Z');
        const data = messages.filter((message) => message.type === 'd');
        streams.push(Buffer.concat(data.map((message) => frame('d', message.body))));
      }
      return streams;
    } finally {
      session.socket.destroy();
    }
  }

  test.each([
    ['text', 'text'],
    ['text, HEADER', 'text'],
    ['csv, HEADER', 'csv'],
    ['binary', 'binary'],
  ] as const)('(FORMAT %s) loads as the rows of all', async (options, format) => {
    // The second and the last have no rows.
    const filters = ['k < 3', 'false', 'k BETWEEN 3 AND 5000', 'k > 5000', 'false'];
    const rows = `SELECT k, repeat('x', k % 300) || E'\\n' AS "a\nb" FROM generate_series(1, 6000) AS k`;
    const streams = await wire(
      filters.map((filter) => {
        const query = `SELECT * FROM (${rows}) AS q WHERE ${filter}`;
        return `COPY (${query}) TO STDOUT (FORMAT ${options})`;
      }),
    );
    const concat = new CopyConcat(format, options.includes('HEADER'), streams.length);
    const joined: Buffer[] = [];
    streams.forEach((stream, position) => {
      for (let at = 0, step = 1; at < stream.length; at += step, step = ((step * 7) % 8191) + 1) {
        const end = Math.min(stream.length, at + step);
        concat.push(position, stream, at, end, (bytes, from, to) => {
          joined.push(Buffer.from(bytes.subarray(from, to)));
        });
      }
    });
    const messages = Buffer.concat(joined);
    const payload: Buffer[] = [];
    for (let at = 0; at < messages.length;) {
      const end = at + 1 + messages.readInt32BE(at + 1);
      payload.push(messages.subarray(at + 5, end));
      at = end;
    }
    await client.query('CREATE TEMP TABLE joined (k int, "a\nb" text)');
    try {
      expect(await load('joined', `FORMAT ${options}`, Buffer.concat(payload))).toBeNull();
      const { rows: difference } = await client.query(
        `(TABLE joined EXCEPT ALL ${rows}) UNION ALL (${rows} EXCEPT ALL TABLE joined)`,
      );
      expect(difference).toEqual([]);
    } finally {
      await client.query('DROP TABLE joined');
    }
  });
});

test('the shards of these tests are those that SQL computes', async () => {
  const expression = vindex.sqlExpression('k', TypeOid.text)!;
  const { rows } = await client.query<{ k: string; top: string }>(
    `SELECT k, (${expression} >> 62) & 3 AS top FROM unnest('{a,b,c,d,xyz,€,17}'::text[]) AS k`,
  );
  expect(rows.map(({ k }) => [k, shardOf(k)])).toEqual(
    rows.map(({ k, top }) => [k, ['s0', 's1', 's2', 's2'][Number(top)]]),
  );
});

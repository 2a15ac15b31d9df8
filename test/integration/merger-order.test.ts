import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparatorFor } from '../../src/merger/comparators.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';

/*
 * Goal: the proxy orders every value exactly as PostgreSQL does. Method: for each type, edge cases and random values
 * made by the server, which ranks them by its own operator class; every pair must compare as its ranks do.
 */

interface Values {
  /** An expression of type text over the random number `r` in [0, 1), the row number `g`, and `s`, a random text. */
  readonly random: string;
  readonly edges: readonly string[];
}

const integer = (bytes: number): Values => ({
  random: `trunc((r - 0.5) * 2 ^ (${8 * bytes} * random()))::numeric::text`,
  edges: [
    '0',
    '1',
    '-1',
    String(2n ** BigInt(8 * bytes - 1) - 1n),
    String(-(2n ** BigInt(8 * bytes - 1))),
  ],
});
const unsigned = (edges: readonly string[]): Values => ({
  random: 'trunc(r * 2 ^ (32 * random()))::numeric::text',
  edges: ['0', '1', '2147483648', '4294967295', ...edges],
});
const float = (edges: readonly string[]): Values => ({
  random: `((r - 0.5) * 10 ^ (30 * random() - 15))::float4::text`,
  edges: ['0', '-0', 'NaN', 'Infinity', '-Infinity', '1', '-1', ...edges],
});
const stamp: Values = {
  random: `('2000-01-01'::timestamp + (r - 0.3) * interval '900 years')::text`,
  edges: ['infinity', '-infinity', '2000-01-01', '1999-12-31 23:59:59.999999', '4713-01-01 BC'],
};
const text: Values = {
  random: 's',
  edges: [
    '',
    ' ',
    'a',
    'a ',
    'a  b',
    'A',
    'b',
    'ä',
    'é',
    'é',
    'z',
    'ß',
    '\u{1f600}',
    '\uffee',
    '\t',
  ],
};
const networks = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/9', '10.128.0.0/9', '::/0', '2001:db8::/32'];
const bits: Values = {
  random: `trunc(r * 1000000)::int::bit(24)::text`,
  edges: ['000000000000000000000000', '111111111111111111111111', '100000000000000000000000'],
};
const array = (elements: string, edges: readonly string[]): Values => ({
  random: `'{' || ${elements} || ',' || (g % 3)::text || '}'`,
  edges: ['{}', '{NULL}', '{NULL,NULL}', ...edges],
});
const numberArrays = [
  '{1}',
  '{1,NULL}',
  '{1,2}',
  '{{1,2}}',
  '{{1},{2}}',
  '[2:3]={1,2}',
  '[0:0]={1}',
];

const types: Readonly<Record<string, Values>> = {
  bool: { random: '(r > 0.5)::text', edges: ['true', 'false'] },
  int2: integer(2),
  int4: integer(4),
  int8: integer(8),
  oid: unsigned([]),
  xid8: unsigned(['18446744073709551615', '9223372036854775808']),
  pg_lsn: {
    random: `to_hex(trunc(r * 65536)::int) || '/' || to_hex(g)`,
    edges: ['0/0', 'FFFFFFFF/FFFFFFFF', '80000000/0', '0/80000000'],
  },
  money: {
    random: '((r - 0.5) * 1e6)::numeric::money::text',
    edges: ['0', '-1', '92233720368547758.07'],
  },
  float4: float(['3.4e38', '1e-45']),
  float8: float(['1.7e308', '5e-324', '0.1', '0.30000000000000004', '0.3']),
  numeric: {
    random: `trunc(((r - 0.5) * 10 ^ (40 * random() - 20))::numeric, g % 20)::text`,
    edges: [
      ...['0', '0.000', '1', '1.00', '-1', '10000', '9999.9999', '10000.0001', '0.0001', '0.00001'],
      ...['NaN', 'Infinity', '-Infinity', '1e1000', '-1e1000', '1e-1000', '-1e-1000', '99990000'],
      ...['100000000', '100000001', '-100000001', '0.1', '0.10001', '-0.1', '-0.10001'],
    ],
  },
  date: {
    random: `('2000-01-01'::date + trunc((r - 0.3) * 300000)::int)::text`,
    edges: ['infinity', '-infinity'],
  },
  time: {
    random: `('00:00'::time + r * interval '1 day')::text`,
    edges: ['00:00', '24:00', '23:59:59.999999'],
  },
  timetz: {
    random: `('00:00'::time + trunc(r * 24) * interval '1 hour')::text || (g % 27 - 13)::text`,
    edges: [
      '00:00+00',
      '01:00+01',
      '02:00+02',
      '24:00-15:59',
      '00:00+15:59',
      '12:00:00.000001+05:30',
    ],
  },
  timestamp: stamp,
  timestamptz: stamp,
  interval: {
    random: `make_interval(months => trunc((r - 0.5) * 40)::int, days => trunc((random() - 0.5) * 90)::int,
               secs => trunc((random() - 0.5) * 10) * 86400 + (g % 3))::text`,
    edges: [
      ...['0', '1 month', '30 days', '720 hours', '29 days 24:00', '31 days -24:00', '-1 month'],
      ...['-30 days', '1 day -0.000001 s', '24:00', '23:59:59.999999', '-24:00', '-0.000001 s'],
      ...[
        'infinity',
        '-infinity',
        '178000000 years',
        '-178000000 years',
        '2562047788:00:54.775807',
      ],
      ...['-2562047788:00:54.775807', '0.008192 s', '0.008191 s', '-0.008192 s', '-0.008193 s'],
    ],
  },
  uuid: { random: 'gen_random_uuid()::text', edges: [`${'0'.repeat(32)}`, `${'f'.repeat(32)}`] },
  bytea: {
    random: `'\\x' || substr(md5(s), 1, 2 * (g % 16))`,
    edges: ['\\x', '\\x00', '\\x0000', '\\xff', '\\x7f80'],
  },
  text,
  varchar: text,
  name: { ...text, random: 'left(s, 20)' },
  bpchar: text,
  'char(6)': { ...text, random: 'left(s, 6)' },
  '"char"': { random: 'chr(33 + g % 90)', edges: ['', 'a', '\\377', '\\200', '~'] },
  'bit(24)': bits,
  varbit: {
    random: 'left(trunc(r * 1000000)::int::bit(24)::text, g % 25)',
    edges: ['', '0', '00', '1', '10'],
  },
  inet: {
    random: `trunc(r * 256)::int || '.' || g % 3 || '.0.' || g % 256 || '/' || g % 33`,
    edges: [
      ...networks,
      '10.0.0.1',
      '10.0.0.1/8',
      '10.255.0.1/8',
      '::1',
      '2001:db8::1/32',
      '::ffff:1.2.3.4',
    ],
  },
  cidr: { random: `trunc(r * 256)::int || '.' || g % 256 || '.0.0/16'`, edges: networks },
  macaddr: { random: `left(md5(s), 12)`, edges: ['000000000000', 'ffffffffffff', '7fffff800000'] },
  macaddr8: { random: `left(md5(s), 16)`, edges: ['0000000000000000', 'ffffffffffffffff'] },
  tid: {
    random: `'(' || trunc(r * 4294967295)::bigint || ',' || g || ')'`,
    edges: ['(0,0)', '(0,65535)', '(4294967295,1)'],
  },
  'int4[]': array('trunc(r * 3)::text', numberArrays),
  'numeric[]': array('trunc(r::numeric * 3, 1)::text', [...numberArrays, '{NaN}', '{1.00,2.0}']),
  'interval[]': array(`'"' || trunc(r * 3)::int || ' days"'`, ['{1 month}', '{30 days}']),
  'text[]': array('substr(md5(s), 1, 1)', ['{""}', '{a}', '{a,a}', '{"a "}', '{{a,b},{c,d}}']),
  'bpchar[]': array('substr(md5(s), 1, 1)', ['{a}', '{"a "}', '{"a ",b}', '{a,b}']),
};

const collated = new Set(['text', 'varchar', 'bpchar', 'char(6)', 'text[]', 'bpchar[]']);

interface Ranked {
  readonly bytes: Buffer;
  readonly rank: number;
}

let databases: DatabaseSet;
let client: pg.Client;

beforeAll(async () => {
  databases = await createDatabaseSet('merger_order');
  client = new pg.Client({ connectionString: databases.urls.oracle });
  await client.connect();
  await client.query(`set timezone = 'UTC'; set lc_monetary = 'C'; select setseed(0.5)`);
});

afterAll(async () => {
  await client.end();
  await databases.drop();
});

/** Values of a type in binary, each with its rank in the server's order; equal values share a rank. */
async function ranked(type: string, { random, edges }: Values): Promise<[number, Ranked[]]> {
  await client.query('drop table if exists ranked');
  await client.query(`create temp table ranked (v ${type})`);
  await client.query(`insert into ranked select unnest($1::text[])::${type}`, [edges]);
  await client.query(`
    insert into ranked select (${random})::${type}
    from (select g, random() r, (array['', 'a', 'B', 'ä', 'zz ', ' ', 'é'])[1 + g % 7] || substr(md5(g::text), 1, g % 40) s
          from generate_series(1, 200) g) x`);
  const { rows: found } = await client.query<{ oid: number; send: string }>(`
    select t.oid, t.typsend::text as send from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = 'ranked'::regclass and a.attname = 'v'`);
  const { oid, send } = found[0]!;
  const order = collated.has(type) ? 'v collate "C"' : 'v';
  const { rows } = await client.query<{ hex: string; rank: number }>(`
    select encode(${send}(v), 'hex') as hex, dense_rank() over (order by ${order})::int4 as rank
    from ranked`);
  return [oid, rows.map(({ hex, rank }) => ({ bytes: Buffer.from(hex, 'hex'), rank }))];
}

function int4(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32BE(value);
  return out;
}

describe('comparatorFor', () => {
  it.each(Object.entries(types))('orders %s as the server does', async (type, values) => {
    const [oid, rows] = await ranked(type, values);
    const compare = comparatorFor(oid, true)!;
    expect(new Set(rows.map(({ rank }) => rank)).size).toBeGreaterThan(type === 'bool' ? 1 : 9);
    // As in a row: values stand somewhere in larger buffers.
    const left = rows.map(({ bytes }) =>
      Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(2, 0xff)]),
    );
    const right = rows.map(({ bytes }) =>
      Buffer.concat([Buffer.alloc(1, 0x20), bytes, Buffer.alloc(1)]),
    );
    const wrong: string[] = [];
    rows.forEach((a, i) => {
      rows.forEach((b, j) => {
        const found = compare(left[i]!, 3, 3 + a.bytes.length, right[j]!, 1, 1 + b.bytes.length);
        if (Math.sign(found) === Math.sign(a.rank - b.rank)) return;
        wrong.push(`${a.bytes.toString('hex')} ${found} ${b.bytes.toString('hex')}`);
      });
    });
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  it('orders enums, and arrays of them, by the labels that it is told, and no others', () => {
    const labels = ['new', 'ok', 'über', 'Zed', 'old'];
    const enums = new Map([
      [70_000, { labels, isArray: false }],
      [70_001, { labels, isArray: true }],
    ]);
    const compare = comparatorFor(70_000, false, enums)!;
    const values = labels.map((label) => Buffer.from(label));
    values.forEach((a, i) => {
      values.forEach((b, j) => {
        expect(Math.sign(compare(a, 0, a.length, b, 0, b.length))).toBe(Math.sign(i - j));
      });
    });
    const [first, added] = [values[0]!, Buffer.from('ne')];
    expect(compare(first, 0, first.length, added, 0, added.length)).toBeNaN();
    const array = (...labels: string[]): Buffer => {
      const head = [1, 0, 70_000, labels.length, 1].map(int4);
      const elements = labels.flatMap((label) => [
        int4(Buffer.byteLength(label)),
        Buffer.from(label),
      ]);
      return Buffer.concat([...head, ...elements]);
    };
    const compareArrays = comparatorFor(70_001, false, enums)!;
    const [old, over] = [array('ok', 'old'), array('ok', 'über')];
    expect(compareArrays(old, 0, old.length, over, 0, over.length)).toBeGreaterThan(0);
    const unknown = array('ok', 'other');
    expect(compareArrays(old, 0, old.length, unknown, 0, unknown.length)).toBeNaN();
  });

  it('leaves alone what only the server can order', () => {
    for (const oid of [25, 1043, 1042, 19, 1009, 1014])
      expect(comparatorFor(oid, false)).toBeNull();
    for (const oid of [114, 3802, 3904, 600, 2249, 16384]) {
      expect(comparatorFor(oid, true)).toBeNull();
    }
  });
});

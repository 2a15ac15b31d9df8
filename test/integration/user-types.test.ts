import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { Comparison } from '../support/oracle.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import type { BindOptions } from '../support/frontend-bytes.js';
import { WireClient } from '../support/wire-client.js';
import {
  errorFields,
  rowFields,
  rowTexts,
  rowValues,
  type WireMessage,
} from '../support/wire-messages.js';

/** Made directly on some servers first, so that everything behind it has other OIDs there. */
const UNEVEN: Readonly<Record<string, string>> = {
  s0: 'CREATE TYPE dummy_a AS ENUM (); CREATE TABLE dummy_b (a int); DROP TABLE dummy_b;',
  // The types that follow, in another order: their OIDs are those of other types elsewhere.
  s1: `CREATE TYPE pair AS (n int, note text); CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');`,
  s3: 'CREATE TYPE dummy_a AS ENUM (); CREATE TYPE dummy_b AS ENUM ();',
};
const TYPES = [
  `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')`,
  'CREATE DOMAIN short AS varchar(8) CHECK (value <> $$bad$$)',
  'CREATE TYPE pair AS (n int, note text)',
  'CREATE DOMAIN moods AS mood[]',
  'CREATE TYPE span AS RANGE (subtype = float8)',
];
const PEOPLE = '(id bigint PRIMARY KEY, m mood, ms mood[], s short, p pair, d moods, r span)';
const TABLES = [
  `CREATE TABLE people ${PEOPLE}`,
  `CREATE TABLE copied ${PEOPLE}`,
  'CREATE TABLE visits (id bigint, person bigint, m mood)',
];
const MOODS = ['sad', 'ok', 'happy'];

let databases: DatabaseSet;
let proxy: Proxy;
let comparison: Comparison;
let client: pg.Client;
let wire: WireClient;

beforeAll(async () => {
  databases = await createDatabaseSet('user_types');
  for (const [server, sql] of Object.entries(UNEVEN)) {
    await databases.onEach([server as 's0'], sql);
  }
  for (const server of [...shardNames, 'oracle'] as const) {
    for (const sql of TYPES) {
      const known = server === 's1' && /^CREATE TYPE (pair|mood)/.test(sql);
      if (!known) await databases.onEach([server], sql);
    }
  }
  const shard_key = 'id';
  const tables = { people: { shard_key }, copied: { shard_key }, visits: { shard_key } };
  const config = clusterConfig(databases, { shop: tables }, { pool: { size: 4 } });
  proxy = await startProxy({ config });
  comparison = await Comparison.open(proxy.url, databases.urls.oracle);
  for (const sql of TABLES) await comparison.both(sql);
  for (let id = 1; id <= 24; id++) {
    const mood = MOODS[id % 3]!;
    const values = [id, mood, `{${mood},ok}`, `s${id % 5}`, `(${id % 4},n${id})`, `[${id},99)`];
    const sql = `INSERT INTO people VALUES ($1, $2::mood, $3::mood[], $4, $5, $3::mood[], $6)`;
    await comparison.both(sql, values);
    await comparison.both('INSERT INTO visits VALUES ($1, $2, $3::mood)', [id, 25 - id, mood]);
  }
  client = await connectPg(proxy.url);
  const { port, pathname } = new URL(proxy.url);
  wire = await WireClient.login({ port: Number(port), database: pathname.slice(1) });
});

afterAll(async () => {
  wire.destroy();
  await client.end();
  await comparison.close();
  await proxy.stop();
  await databases.drop();
});

/** OID of a type or table as a server has it. */
async function oidOf(server: 'main' | 's0' | 's1' | 's2' | 's3', name: string): Promise<number> {
  const cast = name === 'people' || name === 'visits' ? 'regclass' : 'regtype';
  const [row] = await databases.query(server, `SELECT $1::${cast}::oid::int8::text`, [name]);
  return Number(row![0]);
}

/** Prepares, describes, binds and executes as most drivers do, in two round trips. */
async function run(
  sql: string,
  bind: BindOptions,
  types: readonly number[] = [],
): Promise<{ parameters: number[]; columns: number[]; rows: WireMessage[]; error: string | null }> {
  wire.parse(sql, 's', types);
  wire.describe('S', 's');
  wire.sync();
  const described = await wire.until('Z');
  wire.bind({ statement: 's', ...bind });
  wire.execute();
  wire.closeNamed('S', 's');
  wire.sync();
  const executed = await wire.until('Z');
  const errors = [...described, ...executed].filter(({ type }) => type === 'E');
  const parameters = described.find(({ type }) => type === 't')?.body ?? Buffer.alloc(2);
  const row = described.find(({ type }) => type === 'T');
  return {
    parameters: Array.from({ length: parameters.readUInt16BE(0) }, (_, i) =>
      parameters.readUInt32BE(2 + 4 * i),
    ),
    columns: row === undefined ? [] : rowFields(row).map(({ typeOid }) => typeOid),
    rows: executed.filter(({ type }) => type === 'D'),
    error: errors.map((error) => errorFields(error)['M'] ?? '').join() || null,
  };
}

/** A one-dimensional array in binary format (array_send). */
function binaryArray(elementOid: number, values: readonly string[]): Buffer {
  const parts = [int32(1), int32(0), int32(elementOid), int32(values.length), int32(1)];
  for (const value of values) parts.push(int32(Buffer.byteLength(value)), Buffer.from(value));
  return Buffer.concat(parts);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

describe('OIDs of types made by users', () => {
  it('differ between the shards of this test', async () => {
    const moods = await Promise.all(shardNames.map((server) => oidOf(server, 'mood')));
    expect(new Set(moods).size).toBeGreaterThan(2);
    // Another type has that OID there.
    expect(await oidOf('s1', 'pair')).not.toBe(await oidOf('main', 'pair'));
  });

  it.each(Array.from({ length: 12 }, (_, i) => i + 1))(
    'are those of the catalog shard, whichever shard answers (id %i)',
    async (id) => {
      // Results of a domain are described as its base type.
      const names = ['mood', 'mood[]', 'pair', 'mood[]', 'span', 'people'];
      const expected = await Promise.all(names.map((name) => oidOf('main', name)));
      const { rows, fields } = await client.query<Record<string, string>>(
        `SELECT m, ms, p, d, r, people, s FROM people WHERE id = ${id}`,
      );
      expect(rows).toHaveLength(1);
      const shown = fields.map(({ dataTypeID }) => dataTypeID);
      const table = expected.pop()!;
      expect(shown.slice(0, 5)).toEqual(expected);
      expect(fields.map(({ tableID }) => tableID)).toEqual(Array(7).fill(table));
      const rowType = `SELECT reltype::int8::text AS oid FROM pg_class WHERE oid = ${table}`;
      const found = await client.query<{ oid: string }>(rowType);
      expect(shown[5]).toBe(Number(found.rows[0]!.oid));
    },
  );

  it('of parameters too, and may be sent in Parse to any shard', async () => {
    const expected = await Promise.all(['mood', 'mood[]'].map((name) => oidOf('main', name)));
    for (let id = 1; id <= 12; id++) {
      const sql = 'SELECT m, ms FROM people WHERE id = $1 AND m = $2 AND ms = $3';
      const mood = MOODS[id % 3]!;
      const values = [String(id), mood, `{${mood},ok}`];
      const inferred = await run(sql, { values });
      expect(inferred.error).toBeNull();
      expect(inferred.parameters.slice(1)).toEqual(expected);
      expect(inferred.columns).toEqual(expected);
      const told = await run(sql, { values }, [20, ...expected]);
      expect(told.error).toBeNull();
      expect(told.parameters).toEqual([20, ...expected]);
      expect(told.rows.map(rowTexts)).toEqual([[mood, `{${mood},ok}`]]);
    }
  });

  it('are looked up by clients and found', async () => {
    const { fields } = await client.query('SELECT m FROM people WHERE id = 1');
    const sql = 'SELECT typname FROM pg_type WHERE oid = $1';
    const { rows } = await client.query(sql, [fields[0]!.dataTypeID]);
    expect(rows).toEqual([{ typname: 'mood' }]);
  });
});

describe('binary values', () => {
  it('of arrays are understood by every shard', async () => {
    const mood = await oidOf('main', 'mood');
    for (let id = 1; id <= 12; id++) {
      const name = MOODS[id % 3]!;
      const key = Buffer.alloc(8);
      key.writeBigInt64BE(BigInt(id));
      const array = binaryArray(mood, [name, 'ok']);
      const sql = 'SELECT id, m FROM people WHERE id = $1 AND ms = $2 AND d = $3::moods';
      const { error, rows } = await run(sql, { values: [key, array, array], formats: [1] });
      expect(error).toBeNull();
      expect(rows.map(rowTexts)).toEqual([[String(id), name]]);
    }
  });

  it('of arrays go to all shards at once', async () => {
    const mood = await oidOf('main', 'mood');
    const values = [binaryArray(mood, ['happy', 'ok'])];
    for (const [sql, expected] of [
      ['SELECT id FROM people WHERE ms = $1', 8],
      ['SELECT count(*) FROM people WHERE ms = $1', 1],
      ['SELECT id FROM people WHERE ms = $1 ORDER BY id', 8],
      ['SELECT id FROM people WHERE ms = $1 ORDER BY m, s LIMIT 5', 5],
      ['SELECT m, count(*) FROM people WHERE ms = $1 GROUP BY m', 1],
      ['SELECT a.id FROM people a JOIN visits b ON b.person = a.id WHERE ms = $1', 8],
      ['UPDATE people SET ms = $1 WHERE m = (($1::mood[])[1]) RETURNING id', 8],
    ] as const) {
      const { error, rows } = await run(sql, { values, formats: [1] });
      expect({ sql, error, rows: rows.length }).toEqual({ sql, error: null, rows: expected });
    }
  });

  it('name the types in them as the catalog shard does, whichever shard gives them', async () => {
    const [mood, moods, pair] = await Promise.all(
      ['mood', 'mood[]', 'pair'].map((name) => oidOf('main', name)),
    );
    const fields = `ROW(m, ms, p)`;
    for (let id = 1; id <= 12; id++) {
      const label = MOODS[id % 3]!;
      const array = binaryArray(mood!, [label, 'ok']);
      const note = Buffer.from(`n${id}`);
      const row = binaryRow([
        [23, int32(id % 4)],
        [25, note],
      ]);
      const nested = binaryRow([
        [mood!, Buffer.from(label)],
        [moods!, array],
        [pair!, row],
      ]);
      const sql = `SELECT m, ms, p, ${fields}, ARRAY[${fields}] FROM people WHERE id = $1`;
      // Described when it was prepared; then under a name that the shard knows already.
      for (const bind of [{ resultFormats: [1] }, { resultFormats: [1, 1, 1, 1, 1] }]) {
        const { rows } = await run(sql, { values: [String(id)], ...bind });
        const found = rowValues(rows[0]!);
        expect(found[0]!.toString()).toBe(label);
        expect(found.slice(1, 4)).toEqual([array, row, nested]);
        expect(found[4]!.subarray(24)).toEqual(nested);
      }
    }
  });

  it.each([
    'SELECT ms FROM people',
    'SELECT ms FROM people ORDER BY id',
    'SELECT ms FROM people ORDER BY s LIMIT 20',
    'SELECT ms, count(*) FROM people GROUP BY ms',
    'SELECT p.ms FROM people p JOIN visits v ON v.person = p.id',
  ])('of several shards name them alike: %s', async (sql) => {
    const mood = await oidOf('main', 'mood');
    const { rows, error } = await run(sql, { resultFormats: [1] });
    expect(error).toBeNull();
    const named = rows.map((row) => rowValues(row)[0]!.readUInt32BE(8));
    expect(new Set(named)).toEqual(new Set([mood]));
  });

  it('are mapped once where a portal is read in pieces', async () => {
    const mood = await oidOf('main', 'mood');
    wire.query('BEGIN');
    await wire.until('Z');
    wire.parse('SELECT ms FROM people ORDER BY id', '');
    wire.bind({ resultFormats: [1] });
    for (let n = 0; n < 3; n++) wire.execute('', 7);
    wire.sync();
    const rows = (await wire.until('Z')).filter(({ type }) => type === 'D');
    expect(rows).toHaveLength(21);
    for (const row of rows) expect(rowValues(row)[0]!.readUInt32BE(8)).toBe(mood);
    wire.query('COMMIT');
    await wire.until('Z');
  });
});

/** A row in binary format (record_send). */
function binaryRow(fields: readonly (readonly [type: number, value: Buffer])[]): Buffer {
  const parts = fields.flatMap(([type, value]) => [int32(type), int32(value.length), value]);
  return Buffer.concat([int32(fields.length), ...parts]);
}

import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import { makeHashVindex } from '../../src/vindex/hash.js';
import { goldenTypes, goldenVectors, type GoldenType } from '../unit/vindex/golden-vectors.js';
import { mapText } from '../unit/vindex/mapping.js';

/**
 * The `hash` vindex against a live server: SHARDGATE_ORACLE_URL, any PostgreSQL from 14 on, or the
 * suite's own. The committed vectors and fresh mutations of them are hashed by the SQL expression
 * that shards use.
 */

const hash = makeHashVindex('by_key');
const seed = Number(process.env['SHARDGATE_SEED'] ?? Date.now() % 1_000_000);
const client = new pg.Client({
  connectionString: process.env['SHARDGATE_ORACLE_URL'] ?? inject('oracleUrl'),
});
let serverVersion = 0;

beforeAll(async () => {
  console.log(`hash-live: SHARDGATE_SEED=${seed}`);
  await client.connect();
  const { rows } = await client.query<{ version: string }>(
    `SELECT current_setting('server_version_num') AS version`,
  );
  serverVersion = Number(rows[0]!.version);
  // Runs one query with one text parameter; null where it fails.
  await client.query(`CREATE FUNCTION pg_temp.attempt(query text, value text) RETURNS text
    LANGUAGE plpgsql AS $$
    DECLARE result text;
    BEGIN EXECUTE query INTO result USING value; RETURN result;
    EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$`);
});

afterAll(async () => {
  await client.end();
});

/** The query's one text result for each value; null where it fails or finds nothing. */
async function attempt(
  query: string,
  values: readonly string[],
): Promise<Map<string, string | null>> {
  const { rows } = await client.query<{ value: string; result: string | null }>(
    'SELECT value, pg_temp.attempt($1, value) AS result FROM unnest($2::text[]) AS u(value)',
    [query, values],
  );
  return new Map(rows.map((row) => [row.value, row.result]));
}

function goldenTexts(type: GoldenType): string[] {
  const { canonical, spellings } = goldenVectors(type);
  return [...canonical, ...spellings].map(([text]) => text);
}

/**
 * Golden texts with characters inserted, replaced or removed; a NUL cannot travel as a parameter.
 */
function mutations(type: GoldenType, count: number): string[] {
  const texts = goldenTexts(type).filter((text) => text.length < 200);
  const alphabet = [...new Set(texts.join(''))];
  const edit = fc.tuple(fc.nat(40), fc.nat(1), fc.constantFrom('', ...alphabet));
  const mutated = fc
    .tuple(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 3 }))
    .map(([text, edits]) =>
      edits.reduce(
        (result, [at, removed, added]) => result.slice(0, at) + added + result.slice(at + removed),
        text,
      ),
    )
    .filter((text) => !/\p{Surrogate}/u.test(text));
  return fc.sample(mutated, { seed, numRuns: count });
}

/**
 * Before PostgreSQL 16 numbers had no prefixes, no underscores and smaller exponents: a shard of
 * that age refuses itself what the proxy maps.
 */
function isNewSpelling(text: string): boolean {
  return serverVersion < 160000 && /_|0[xob]|e\+?\d{5}/i.test(text);
}

const settings = [
  ['UTC', 'ISO, MDY'],
  ['Asia/Kolkata', 'SQL, DMY'],
  ['America/New_York', 'German'],
  ['Pacific/Apia', 'Postgres, YMD'],
] as const;

describe.each(goldenTypes)('%s', (type) => {
  const oid = TypeOid[type];
  const mapper = hash.mapper(oid, TypeOid.unknown)!;
  const timely = /^(date|time)/.test(type);

  test.each(timely ? settings : settings.slice(0, 1))(
    'text hashes as on the server, or is refused as there (TimeZone %s, DateStyle %s)',
    async (timeZone, dateStyle) => {
      await client.query(`SET TimeZone = '${timeZone}'; SET DateStyle = '${dateStyle}'`);
      const expression = hash.sqlExpression('"k"', oid)!;
      const texts = [...new Set([...goldenTexts(type), ...mutations(type, 1500)])];
      const ids = await attempt(
        `SELECT (${expression})::text FROM (SELECT $1::${type} AS "k" OFFSET 0) AS s`,
        texts,
      );
      const faults = texts.filter((text) => {
        const mapped = mapText(mapper, text);
        const id = ids.get(text) ?? null;
        if (mapped === 'unreadable') return false;
        if (id === null) return mapped !== 'invalid' && !isNewSpelling(text);
        return mapped !== BigInt(id);
      });
      expect(faults).toEqual([]);
    },
  );

  test('the SQL expression is null for NULL and may filter a publication', async () => {
    const expression = hash.sqlExpression('"k"', oid)!;
    await client.query(`CREATE TABLE hash_live_rows (k ${type} PRIMARY KEY)`);
    try {
      const { rows } = await client.query<{ id: string | null }>(
        `SELECT ${expression} AS id FROM (SELECT NULL::${type} AS "k") AS s`,
      );
      expect(rows).toEqual([{ id: null }]);
      if (serverVersion >= 150000) {
        await client.query(
          `CREATE PUBLICATION hash_live FOR TABLE hash_live_rows WHERE ((${expression}) < 0)`,
        );
        await client.query('DROP PUBLICATION hash_live');
      }
    } finally {
      await client.query('DROP TABLE hash_live_rows');
    }
  });
});

describe('comparisons between number types find the row of the mapped id', () => {
  const numbers = ['int2', 'int4', 'int8', 'numeric'] as const;
  const pairs = numbers.flatMap((column) => numbers.map((input) => [column, input] as const));

  test.each(pairs)('%s column = %s value', async (column, input) => {
    const mapper = hash.mapper(TypeOid[column], TypeOid[input])!;
    const expression = hash.sqlExpression('"k"', TypeOid[column])!;
    await client.query(`CREATE TEMP TABLE numbers (k ${column})`);
    try {
      const stored = goldenVectors(column).canonical.map(([text]) => text);
      await client.query(`INSERT INTO numbers SELECT unnest($1::${column}[])`, [stored]);
      const values = goldenTexts(input);
      const ids = await attempt(
        `SELECT (${expression})::text FROM numbers WHERE k = $1::${input} LIMIT 1`,
        values,
      );
      const found = values.filter((value) => (ids.get(value) ?? null) !== null);
      expect(found.length).toBeGreaterThan(50);
      expect(found.filter((value) => mapText(mapper, value) !== BigInt(ids.get(value)!))).toEqual(
        [],
      );
    } finally {
      await client.query('DROP TABLE numbers');
    }
  });
});

describe('columns with a length, scale or precision', () => {
  test.each([
    ['varchar', 'varchar(7)', 'abcdefg  ', '       ', 'äöü€    ', '        '],
    ['numeric', 'numeric(12,3)'],
    ['numeric', 'numeric(30,0)'],
    ['timestamp', 'timestamp(2)'],
    ['timestamptz', 'timestamptz(0)'],
  ] as const)(
    '%s values stored in %s: mapped as they are stored, or changed and no match',
    async (type, column, ...more) => {
      await client.query(`SET TimeZone = 'UTC'; CREATE TEMP TABLE limited (k ${column})`);
      try {
        const { rows } = await client.query<{ typmod: number }>(
          `SELECT atttypmod AS typmod FROM pg_attribute
         WHERE attrelid = 'limited'::regclass AND attname = 'k'`,
        );
        const mapper = hash.mapper(TypeOid[type], TypeOid[type], rows[0]!.typmod)!;
        const expression = hash.sqlExpression('"k"', TypeOid[type])!;
        const values = [...goldenVectors(type).canonical.map(([text]) => text), ...more];
        const stored = await attempt(
          `INSERT INTO limited VALUES ($1::${type})
         RETURNING (k = $1::${type}) || ' ' || (${expression})`,
          values,
        );
        const outcomes = { unchanged: 0, changed: 0 };
        const faults = values.filter((value) => {
          const result = stored.get(value) ?? null;
          // Too large for the column: Postgres refuses to store it, wherever it goes.
          if (result === null) return false;
          const [isSame, id] = result.split(' ');
          const mapped = mapText(mapper, value);
          outcomes[isSame === 'true' ? 'unchanged' : 'changed']++;
          return mapped !== BigInt(id!) && (isSame === 'true' || mapped !== 'no match');
        });
        expect(faults).toEqual([]);
        expect(Math.min(outcomes.unchanged, outcomes.changed)).toBeGreaterThan(0);
      } finally {
        await client.query('DROP TABLE limited');
      }
    },
  );
});

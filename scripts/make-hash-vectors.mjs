// @ts-check
/**
 * Makes the golden vectors of the `hash` vindex: asks a real PostgreSQL 18 for the extended hash of
 * seeded values of every key type and writes test/unit/vindex/golden/<type>.json.
 *
 *   node scripts/make-hash-vectors.mjs postgres://postgres@127.0.0.1:5432/postgres [seed]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import pg from 'pg';
import prettier from 'prettier';
import { hashInputs } from './hash-vector-inputs.mjs';

const GOLDEN = new URL('../test/unit/vindex/golden/', import.meta.url);
const DEFAULT_SEED = 20240229;

/**
 * By type name: the server's functions for the hash (support function 2 of its hash operator class)
 * and send.
 */
const functions = {
  int2: ['hashint2extended', 'int2send'],
  int4: ['hashint4extended', 'int4send'],
  int8: ['hashint8extended', 'int8send'],
  text: ['hashtextextended', 'textsend'],
  varchar: ['hashtextextended', 'varcharsend'],
  uuid: ['uuid_hash_extended', 'uuid_send'],
  bytea: ['hashbyteaextended', 'byteasend'],
  numeric: ['hash_numeric_extended', 'numeric_send'],
  date: ['hashdateextended', 'date_send'],
  timestamp: ['timestamp_hash_extended', 'timestamp_send'],
  timestamptz: ['timestamptz_hash_extended', 'timestamptz_send'],
  bool: ['hashboolextended', 'boolsend'],
};

const url = process.argv[2];
if (url === undefined) {
  console.error('usage: node scripts/make-hash-vectors.mjs postgres://user@host:port/db [seed]');
  process.exit(2);
}
const seed = Number(process.argv[3] ?? DEFAULT_SEED);
const client = new pg.Client({ connectionString: url });
await client.connect();
await client.query(`SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'ISO, DMY'`);
const version = (await client.query('SHOW server_version')).rows[0].server_version;
const inputs = hashInputs(seed);
await mkdir(GOLDEN, { recursive: true });
for (const [type, [hash, send]] of Object.entries(functions)) {
  const { canonical, spellings } = await askServer(type, hash, send);
  const note =
    'Made by scripts/make-hash-vectors.mjs. canonical: [text, hash, binary format in hex]; ' +
    'spellings: [text, hash, or null where the server refuses the text]';
  const json = JSON.stringify({ note, server: version, seed, type, canonical, spellings });
  const file = new URL(`${type}.json`, GOLDEN);
  await writeFile(file, await prettier.format(json, { parser: 'json', printWidth: 100 }));
  console.log(`${type}: ${canonical.length} values, ${spellings.length} spellings`);
}
await client.end();

/** @param {string} type @param {string | undefined} hash @param {string | undefined} send */
async function askServer(type, hash, send) {
  const ask = async (/** @type {string[]} */ values) => {
    // OFFSET 0 keeps the planner from casting what pg_input_is_valid has not let through.
    const { rows } = await client.query({
      text: `SELECT i, ${hash}(v, 0)::text, encode(${send}(v), 'hex')
        FROM (SELECT i, CASE WHEN pg_input_is_valid(i, '${type}') THEN i::${type} END AS v
              FROM unnest($1::text[]) WITH ORDINALITY AS u(i, n) ORDER BY n OFFSET 0) AS s`,
      values: [[...new Set(values)]],
      rowMode: 'array',
    });
    return rows;
  };
  const { canonical, spellings } = inputs[type] ?? { canonical: [], spellings: [] };
  const hashed = await ask(canonical);
  const refused = hashed.filter((row) => row[1] === null).map((row) => row[0]);
  if (refused.length > 0) throw new Error(`${type}: the server refuses ${JSON.stringify(refused)}`);
  return {
    canonical: hashed,
    spellings: (await ask(spellings)).map(([text, id]) => [text, id]),
  };
}

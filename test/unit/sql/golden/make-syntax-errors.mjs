// @ts-check
// Asks a real PostgreSQL 18 what is wrong with the corpus's broken statements and writes syntax-errors.json.
// Usage: node make-syntax-errors.mjs postgres://user@host:port/database
import { readFileSync, writeFileSync } from 'node:fs';
import { Client, DatabaseError } from 'pg';
import ts from 'typescript';

/** @typedef {{ brokenStatements: string[], corpus: string[] }} Corpus */

const corpusSource = readFileSync(new URL('../corpus.ts', import.meta.url), 'utf8');
const { outputText } = ts.transpileModule(corpusSource, {
  compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
});
const corpusUrl = `data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`;
/** @type {unknown} */
const module = await import(corpusUrl);
const { brokenStatements, corpus } = /** @type {Corpus} */ (module);

const client = new Client({ connectionString: process.argv[2] ?? '' });
client.on('error', () => undefined);
await client.connect();

/**
 * @param {string} sql
 * @returns {Promise<DatabaseError | null>}
 */
async function errorOf(sql) {
  try {
    await client.query(sql);
    return null;
  } catch (error) {
    if (error instanceof DatabaseError) return error;
    throw error;
  }
}

const errors = [];
for (const sql of brokenStatements) {
  const error = await errorOf(sql);
  if (error === null) throw new Error(`the server accepts: ${sql}`);
  const { code, message, hint = null } = error;
  const position = error.position === undefined ? null : Number(error.position);
  errors.push({ sql, code, message, position, hint });
}
const target = new URL('syntax-errors.json', import.meta.url);
writeFileSync(target, `${JSON.stringify(errors, null, 2)}\n`);

// The other half: nothing of the corpus may be a syntax error to the server.
for (const sql of corpus) {
  // A failed transaction block only parses what comes behind, so that nothing of it runs.
  await client.query('BEGIN');
  await errorOf('SELECT 1/0');
  const error = await errorOf(sql);
  if (error?.code === '42601') throw new Error(`the server refuses: ${sql}`);
  await client.query('ROLLBACK');
}
await client.end();

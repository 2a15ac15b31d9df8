// Asks a real PostgreSQL 18 what is wrong with the corpus's broken statements and writes syntax-errors.json.
// Usage: node make-syntax-errors.mjs postgres://user@host:port/database
import { readFileSync, writeFileSync } from 'node:fs';
import { Client } from 'pg';
import ts from 'typescript';

const corpusSource = readFileSync(new URL('../corpus.ts', import.meta.url), 'utf8');
const { outputText } = ts.transpileModule(corpusSource, {
  compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
});
const corpusUrl = `data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`;
const { brokenStatements, corpus } = await import(corpusUrl);

const client = new Client({ connectionString: process.argv[2] });
client.on('error', () => undefined);
await client.connect();
const errors = [];
for (const sql of brokenStatements) {
  const error = await client.query(sql).then(
    () => null,
    (reason) => reason,
  );
  if (error === null) throw new Error(`the server accepts: ${sql}`);
  const position = error.position === undefined ? null : Number(error.position);
  const { code, message, hint = null } = error;
  errors.push({ sql, code, message, position, hint });
}
const target = new URL('syntax-errors.json', import.meta.url);
writeFileSync(target, `${JSON.stringify(errors, null, 2)}\n`);

// EXPLAIN-like check of the other half: nothing of the corpus may be a syntax error to the server.
for (const sql of corpus) {
  // A failed transaction block only parses what comes behind, so that nothing of it runs.
  await client.query('BEGIN').catch(() => undefined);
  await client.query('SELECT 1/0').catch(() => undefined);
  const code = await client.query(sql).then(
    () => '',
    (reason) => reason.code,
  );
  if (code === '42601') throw new Error(`the server refuses: ${sql}`);
  await client.query('ROLLBACK');
}
await client.end();

import { afterAll, beforeAll, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import { Parser } from '../../../src/sql/parser.js';
import { buildWorker, type BuiltWorker } from '../../unit/sql/built-worker.js';
import { corpus } from '../../unit/sql/corpus.js';
import { fuzz, fuzzSeconds, type Random } from './random.js';

/**
 * Goal: whatever a client sends, the parser answers with statements or a SqlError, soon, and the next statement is
 * parsed right. Method: corpus statements cut, joined and with bytes changed; fragments repeated up to some 100 kB,
 * which finds what costs the lexer or the grammar more than linear time.
 */

let worker: BuiltWorker;
let parser: Parser;
beforeAll(async () => {
  worker = buildWorker();
  parser = await Parser.create({ workerUrl: worker.url });
});
afterAll(async () => {
  await parser.close();
  worker.remove();
});

const timeout = fuzzSeconds * 1000 + 30_000;
/** Twenty times the worst one measured (46 ms for 400 kB), for busy machines. */
const SYNC_MAX_MS = 1000;

async function settle(bytes: Uint8Array): Promise<void> {
  const started = performance.now();
  try {
    const result = parser.parse(bytes);
    expect(performance.now() - started).toBeLessThan(SYNC_MAX_MS);
    for (const { start, length } of await result) {
      expect(start + length).toBeLessThanOrEqual(bytes.length);
    }
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    expect(['42601', '54001', '22021', '22025', '0A000', '22023', '22P06']).toContain(error.code);
    if (error.position !== undefined) expect(error.position).toBeLessThanOrEqual(bytes.length + 1);
  }
}

function mutated(random: Random): Buffer {
  const parts = [random.pick(corpus), random.pick(corpus)].map((sql) => {
    const cut = random.below(sql.length + 1);
    return random.below(2) === 0 ? sql.slice(cut) : sql.slice(0, cut);
  });
  const bytes = Buffer.from(parts.join(random.pick([' ', ';', '', '(', "'", '/*'])));
  for (let n = random.below(3); n > 0 && bytes.length > 0; n--) {
    bytes[random.below(bytes.length)] = random.below(256);
  }
  return bytes;
}

test('statements cut, joined and with bytes changed', { timeout }, async () => {
  await fuzz((random) => settle(mutated(random)));
  expect(parser.parse(Buffer.from('SELECT 1'))).toHaveLength(1);
});

const repeated = [
  '(',
  ')',
  '[',
  ']',
  ',',
  ';',
  '+',
  '-',
  '.',
  ':',
  "'",
  '"',
  '$',
  '$a$',
  '/*',
  '*/',
  '--',
  '\n',
  ' ',
  '\\',
  '@',
  '=',
  '%',
  '?',
  "''",
  "'a'",
  "E'",
  "U&'",
  'a',
  '1',
  '_',
  'é',
  '1.',
  'not ',
  'select ',
  'as ',
  'case when ',
  'end ',
  'join t on ',
  'in (',
  'union ',
  'array[',
  'row(',
  '::int ',
  'is null ',
  'and ',
  'or ',
  'between ',
  'values ',
  'over (',
  'with x as (',
  'from ',
  'interval ',
  'collate ',
  'create table ',
  'grant ',
  'primary key ',
  'default ',
  'for update ',
  'operator(+) ',
  'f(',
] as const;

test('fragments repeated up to some 100 kB', { timeout }, async () => {
  await fuzz(async (random) => {
    const fragment = random.pick(repeated) + random.pick(repeated);
    const size = 2 ** (6 + random.below(12));
    const begin = random.pick([
      '',
      'SELECT ',
      "SELECT '",
      'SELECT * FROM t WHERE a = ',
      'INSERT INTO t VALUES ',
    ]);
    await settle(Buffer.from(begin + fragment.repeat(Math.ceil(size / fragment.length))));
  });
  expect(await parser.parse(Buffer.from('SELECT 1'))).toHaveLength(1);
});

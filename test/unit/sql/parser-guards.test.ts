import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import { ParseEngine, compileEngine } from '../../../src/sql/parse-engine.js';
import {
  WORKER_QUEUE_MAX,
  WORKER_TEXT_BYTES_MAX,
  WORKER_TOKENS_MAX,
} from '../../../src/sql/parse-limits.js';
import { Parser, type ParsedStatement, type ParserOptions } from '../../../src/sql/parser.js';
import { buildWorker, type BuiltWorker } from './built-worker.js';
import { hostile } from './hostile.js';

let worker: BuiltWorker;
const parsers: Parser[] = [];
beforeAll(() => {
  worker = buildWorker();
});
afterAll(async () => {
  await Promise.all(parsers.map((parser) => parser.close()));
  worker.remove();
});

async function makeParser(options: ParserOptions = {}): Promise<Parser> {
  const parser = await Parser.create({ workerUrl: worker.url, ...options });
  parsers.push(parser);
  return parser;
}

/** How a text ends: with a number of statements, or with a SqlError. */
async function outcome(parser: Parser, sql: string): Promise<number | SqlError> {
  try {
    return (await parser.parse(Buffer.from(sql))).length;
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
}

/** The longest time in ms that a timer had to wait while `work` ran. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  await work();
  clearInterval(timer);
  return Math.max(longest, performance.now() - last);
}

/** Far above what was measured (20 ms, 500 ms under load): it finds hangs, not slowness. */
const STALL_MAX_MS = 3000;

describe('hostile statements neither crash nor hang nor stall the process', () => {
  let parser: Parser;
  beforeAll(async () => {
    parser = await makeParser();
  });
  test.each(Object.keys(hostile))('%s', async (name) => {
    for (const size of [1000, 10_000, 100_000, 1_000_000]) {
      const sql = hostile[name]!(size);
      const stall = await longestStall(async () => {
        const result = await outcome(parser, sql);
        if (result instanceof SqlError) expect(['54001', '42601']).toContain(result.code);
      });
      expect(stall).toBeLessThan(STALL_MAX_MS);
      expect(await outcome(parser, 'SELECT 1')).toBe(1);
    }
  });

  test('a refusal says what to do', async () => {
    const error = (await outcome(parser, hostile['sums']!(5000))) as SqlError;
    expect(error).toMatchObject({ code: '54001', state: 'statement_too_complex' });
    expect(error.hint).toMatch(/COPY/);
    expect(error.detail).toMatch(/levels deep/);
  });
});

describe('oversized statements', () => {
  test('come back whole and in order from the other thread', async () => {
    const parser = await makeParser();
    const rows = Array.from({ length: 20_000 }, (_, i) => `(${i}, 'v${i}')`);
    const result = parser.parse(Buffer.from(`INSERT INTO t VALUES ${rows.join(',')}`));
    expect(result).toBeInstanceOf(Promise);
    const [statement] = await result;
    const insert = (statement!.node as unknown as InsertTree).InsertStmt;
    const lists = insert.selectStmt.SelectStmt.valuesLists;
    expect(lists.length).toBe(rows.length);
    const values = lists.map((list) => list.List.items[1]!.A_Const.sval.sval);
    expect(values).toEqual(rows.map((_, i) => `v${i}`));
  });

  test('own their bytes: the caller may overwrite them at once', async () => {
    const parser = await makeParser();
    const bytes = Buffer.from(`SELECT 1 /* c */ ${', 1'.repeat(5000)}; SELECT 2`);
    const result = parser.parse(bytes);
    bytes.fill(0x28);
    expect(await result).toHaveLength(2);
  });

  test('have errors with positions, comments before them or not', async () => {
    const parser = await makeParser();
    for (const comment of ['', '/* ä€😀 */']) {
      const sql = `SELECT ${comment} 'ä'${', 1'.repeat(5000)} FROM FROM`;
      expect(await outcome(parser, sql)).toMatchObject({
        code: '42601',
        message: 'syntax error at or near "FROM"',
        position: [...sql.slice(0, sql.lastIndexOf('FROM'))].length + 1,
      });
    }
  });

  test('beyond the bounds are refused before anything is parsed', async () => {
    const parser = await makeParser();
    const long = Buffer.alloc(WORKER_TEXT_BYTES_MAX + 1, 0x20);
    expect(() => parser.parse(long)).toThrow(SqlError);
    const many = Buffer.from(`SELECT 1${',1'.repeat(WORKER_TOKENS_MAX / 2)}`);
    expect(() => parser.parse(many)).toThrow(/too large/);
  });

  test('that take too long end the thread, and the next one gets another', async () => {
    const parser = await makeParser({ timeMaxMs: 1 });
    const sql = `SELECT 1${', 1'.repeat(50_000)}`;
    expect(await outcome(parser, sql)).toMatchObject({ code: '54001', detail: /longer than 1 ms/ });
    expect(await outcome(parser, 'SELECT 1')).toBe(1);
    const patient = await makeParser();
    expect(await outcome(patient, sql)).toBe(1);
  });

  test('wait in a bounded queue', async () => {
    const parser = await makeParser();
    const sql = `SELECT 1${', 1'.repeat(2000)}`;
    const results = await Promise.all(
      Array.from({ length: WORKER_QUEUE_MAX + 10 }, () => outcome(parser, sql)),
    );
    const refused = results.filter((result) => result instanceof SqlError);
    expect(refused).toHaveLength(9);
    expect(refused[0]).toMatchObject({ code: '54001', detail: /wait to be parsed/ });
  });

  test('an idle thread ends and starts again', async () => {
    const parser = await makeParser({ idleMs: 10 });
    const sql = `SELECT 1${', 1'.repeat(2000)}`;
    expect(await outcome(parser, sql)).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await outcome(parser, sql)).toBe(1);
  });

  test('closing answers those that wait', async () => {
    const parser = await makeParser();
    const waiting = [1, 2].map(() => outcome(parser, `SELECT 1${', 1'.repeat(50_000)}`));
    await parser.close();
    for (const result of await Promise.all(waiting))
      expect(result).toMatchObject({ code: '54001' });
  });
});

interface InsertTree {
  readonly InsertStmt: {
    readonly selectStmt: {
      readonly SelectStmt: {
        readonly valuesLists: readonly {
          readonly List: { readonly items: readonly { A_Const: { sval: { sval: string } } }[] };
        }[];
      };
    };
  };
}

describe('an instance that overflowed', () => {
  test('is broken and says so; a new one from the same code works', async () => {
    const code = await compileEngine();
    const engine = await ParseEngine.create(code);
    const deep = Buffer.from(hostile['sums']!(100_000));
    expect(engine.parse(deep, 0, deep.length)).toMatchObject({ kind: 'tooComplex' });
    expect(engine.broken).toBe(true);
    const next = await ParseEngine.create(code);
    expect(next.parse(Buffer.from('SELECT 1'), 0, 8)).toMatchObject({ kind: 'tree' });
    expect(next.broken).toBe(false);
  });

  test('is replaced by the parser while statements wait for the new one', async () => {
    const parser = await makeParser();
    const overflow = overflowing(parser);
    expect(overflow).toMatchObject({ code: '54001' });
    const text = Buffer.from('SELECT 1; SELECT 2');
    const waiting = parser.parse(text);
    text.fill(0x28);
    expect(waiting).toBeInstanceOf(Promise);
    expect(await waiting).toHaveLength(2);
    expect(parser.parse(Buffer.from('SELECT 1')) as ParsedStatement[]).toHaveLength(1);
  });
});

/** Parses a harmless statement where hardly any stack is left, until the parser's instance overflows. */
function overflowing(parser: Parser): unknown {
  const sql = Buffer.from(hostile['nested AND']!(300));
  let caught: unknown;
  const descend = (): void => {
    try {
      descend();
    } catch (error) {
      if (error instanceof SqlError) caught = error;
      if (caught !== undefined) throw error;
    }
    if (caught !== undefined) return;
    try {
      const statements = parser.parse(sql);
      if (statements instanceof Promise) throw new Error('no overflow before');
      caught = null;
    } catch (error) {
      if (error instanceof SqlError) caught = error;
      else if (!(error instanceof RangeError)) throw error;
    }
  };
  descend();
  return caught;
}

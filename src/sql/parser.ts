import { isUtf8 } from 'node:buffer';
import type { Node, ParseResult, VariableSetStmt } from '@pgsql/types';
import { SqlError, sqlError } from '../errors/sql-error.js';
import { blankComments, positionWithComments } from './comments.js';
import { grammarError, invalidEncoding, tooComplex } from './parse-errors.js';
import {
  ENGINE_MEMORY_MAX,
  MAIN_TEXT_BYTES_MAX,
  MAIN_TOKENS_MAX,
  OPERATOR_BYTES_MAX,
  WORKER_TEXT_BYTES_MAX,
  WORKER_TOKENS_MAX,
} from './parse-limits.js';
import { ParseEngine, compileEngine, type EngineCode, type ParseOutcome } from './parse-engine.js';
import { ParseThread } from './parse-thread.js';
import { countTokens } from './token-count.js';
import { characterCount } from './code-points.js';

/** One statement of a text. Offsets are bytes from the text's start; without the semicolon. */
export interface ParsedStatement {
  /** The statement's tree as libpg-query gives it: `{ SelectStmt: {...} }`. Zero values are left out. */
  readonly node: Node;
  readonly start: number;
  readonly length: number;
}

/** What parses texts. */
export type TextParser = Pick<Parser, 'parse'>;

export interface ParserOptions {
  /** Where the compiled parse-worker module is; tests that run from sources name another one. */
  readonly workerUrl?: URL;
  /** How long one oversized statement may take, in milliseconds. */
  readonly timeMaxMs?: number;
  /** When an unused worker is ended, in milliseconds. */
  readonly idleMs?: number;
}

/** Behind it stands the whole rest of the text. */
const ENDLESS_COMMENT = 'unterminated /* comment at or near ';

/**
 * PostgreSQL's own grammar (libpg-query 18) behind guards: no statement crashes, hangs or noticeably holds up the
 * process, whatever it is.
 *
 *   text -> UTF-8? -> tokens <= main's -> engine of this thread -> statements, at once
 *             |           |                   '- broke: a new engine; 54001
 *             |           '- <= worker's -> copy -> ParseThread -> statements, by promise
 *             '- 22021    '- 54001
 */
export class Parser {
  readonly #code: EngineCode;
  readonly #thread: ParseThread;
  /** Null while a new one is made. */
  #engine: ParseEngine | null;
  #replacement: Promise<void> = Promise.resolve();

  private constructor(code: EngineCode, engine: ParseEngine, options: ParserOptions) {
    this.#code = code;
    this.#engine = engine;
    this.#thread = new ParseThread(code, {
      workerUrl: new URL('parse-worker.js', import.meta.url),
      ...options,
    });
  }

  static async create(options: ParserOptions = {}): Promise<Parser> {
    const code = await compileEngine();
    return new Parser(code, await ParseEngine.create(code), options);
  }

  /**
   * The statements of the UTF-8 text `[start, end)`, none for an empty one. Oversized texts are copied and answered by
   * a promise. Throws (or rejects with) SqlError: 42601 and the other states of PostgreSQL's grammar with their
   * position, 22021 for bytes that are no UTF-8, 54001 beyond the limits of parse-limits.ts.
   */
  parse(
    bytes: Uint8Array,
    start = 0,
    end = bytes.length,
  ): ParsedStatement[] | Promise<ParsedStatement[]> {
    const length = end - start;
    if (length > WORKER_TEXT_BYTES_MAX) throw tooComplex(`the text is ${length} bytes long`);
    const text = bytes.subarray(start, end);
    if (!isUtf8(text) || text.includes(0)) throw invalidEncoding(bytes, start, end);
    const tokens = countTokens(bytes, start, end, WORKER_TOKENS_MAX);
    if (tokens < 0) throw tooComplex(`an operator is longer than ${OPERATOR_BYTES_MAX} characters`);
    if (tokens > WORKER_TOKENS_MAX) {
      throw tooComplex(`the text has more than ${WORKER_TOKENS_MAX} words, values and operators`);
    }
    const aside = tokens > MAIN_TOKENS_MAX || length > MAIN_TEXT_BYTES_MAX;
    if (hasComments(text)) return this.#parseWithoutComments(Uint8Array.from(text), aside);
    if (aside) return this.#parseAside(Uint8Array.from(text));
    if (this.#engine === null) return this.#parseLater(Uint8Array.from(text));
    return this.#parseHere(this.#engine, text);
  }

  /** Ends the worker thread. */
  async close(): Promise<void> {
    await this.#thread.close();
    await this.#replacement;
  }

  /** Error positions count characters, and a blanked comment may have more of them than it had. */
  #parseWithoutComments(
    text: Uint8Array,
    aside: boolean,
  ): ParsedStatement[] | Promise<ParsedStatement[]> {
    const blanked = Uint8Array.from(text);
    const endless = blankComments(blanked);
    const moved = (error: unknown): never => {
      if (!(error instanceof SqlError) || error.position === undefined) throw error;
      const position = positionWithComments(error.position, blanked, text);
      const message = error.message.startsWith(ENDLESS_COMMENT)
        ? `${ENDLESS_COMMENT}"${Buffer.from(text.subarray(endless)).toString()}"`
        : error.message;
      throw sqlError(error.state, message, { hint: error.hint, position });
    };
    if (aside) return this.#parseAside(Uint8Array.from(blanked)).catch(moved);
    if (this.#engine === null) return this.#parseLater(blanked).catch(moved);
    try {
      return this.#parseHere(this.#engine, blanked);
    } catch (error) {
      return moved(error);
    }
  }

  #parseHere(engine: ParseEngine, text: Uint8Array): ParsedStatement[] {
    const outcome = engine.parse(text, 0, text.length);
    if (engine.broken || engine.memoryBytes > ENGINE_MEMORY_MAX) this.#replaceEngine();
    if (outcome.kind !== 'tree') throw failure(outcome);
    const statements = statementsOf(JSON.parse(outcome.json) as ParseResult, text.length);
    for (const { node } of statements) {
      if ('VariableSetStmt' in node) refuseParameters(node.VariableSetStmt, text);
    }
    return statements;
  }

  async #parseAside(text: Uint8Array): Promise<ParsedStatement[]> {
    const { length } = text;
    const outcome = await this.#thread.parse(text);
    if (outcome.kind !== 'tree') throw failure(outcome);
    return statementsOf(outcome.tree as ParseResult, length);
  }

  async #parseLater(text: Uint8Array): Promise<ParsedStatement[]> {
    await this.#replacement;
    if (this.#engine !== null) return this.#parseHere(this.#engine, text);
    // Making an engine failed, most likely for want of memory: the next statement tries again.
    this.#replaceEngine();
    throw tooComplex('no memory for a parser');
  }

  #replaceEngine(): void {
    this.#engine = null;
    this.#replacement = ParseEngine.create(this.#code).then(
      (engine) => {
        this.#engine = engine;
      },
      () => undefined,
    );
  }
}

/** May see comment signs inside strings, which costs a copy and nothing else. */
function hasComments(text: Uint8Array): boolean {
  const buffer = Buffer.from(text.buffer, text.byteOffset, text.length);
  return buffer.includes('--') || buffer.includes('/*');
}

function failure(outcome: Exclude<ParseOutcome, { kind: 'tree' }>): SqlError {
  if (outcome.kind === 'error') return grammarError(outcome);
  return tooComplex(outcome.reason);
}

/** libpg-query takes parameters for the values of SET, which PostgreSQL's grammar does not. */
function refuseParameters({ args = [] }: VariableSetStmt, text: Uint8Array): void {
  for (const arg of args) {
    if (!('ParamRef' in arg)) continue;
    const { number = 0, location = 0 } = arg.ParamRef;
    const position = characterCount(text, 0, location) + 1;
    throw sqlError('syntax_error', `syntax error at or near "$${number}"`, { position });
  }
}

function statementsOf(result: ParseResult, textLength: number): ParsedStatement[] {
  const statements: ParsedStatement[] = [];
  for (const { stmt, stmt_location: start = 0, stmt_len: length = 0 } of result.stmts ?? []) {
    // A length of zero, left out like all zeros, means up to the end of the text.
    if (stmt === undefined) continue;
    statements.push({ node: stmt, start, length: length === 0 ? textLength - start : length });
  }
  return statements;
}

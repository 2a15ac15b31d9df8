import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import createModule, { type PgQueryModule } from 'libpg-query/wasm/libpg-query.js';
import { TREE_BYTES_MAX, TREE_DEPTH_BYTES_MIN, TREE_DEPTH_MAX } from './parse-limits.js';

/** What the grammar says about one text. Plain data, so that it crosses threads as it stands. */
export type ParseOutcome =
  /** The ParseResult of libpg-query, as JSON. */
  | { readonly kind: 'tree'; readonly json: string }
  /** Position: 1-based, in characters; 0 where none is known. */
  | {
      readonly kind: 'error';
      readonly message: string;
      readonly position: number;
      /** PostgreSQL's C function that raised it. */
      readonly raisedBy: string;
    }
  /** A tree beyond the limits, or an instance that overflowed its stack. */
  | { readonly kind: 'tooComplex'; readonly reason: string };

/** Byte offsets in libpg-query's C structs of 32-bit fields: pg_query.h, PgQueryParseResult and PgQueryError. */
const RESULT_TREE = 0;
const RESULT_ERROR = 8;
const ERROR_MESSAGE = 0;
const ERROR_FUNCTION = 4;
const ERROR_CURSOR = 16;

/** A compiled WebAssembly.Module; it may be sent to other threads. */
export type EngineCode = object;

/** The part of the WebAssembly API used here; the ES2023 library does not declare it. */
const wasm = (
  globalThis as unknown as {
    WebAssembly: {
      compile(code: Uint8Array): Promise<EngineCode>;
      Instance: new (code: EngineCode, imports: object) => object;
    };
  }
).WebAssembly;

/** Compiles libpg-query's code once; every instance, in any thread, is made from it. */
export async function compileEngine(): Promise<EngineCode> {
  const path = createRequire(import.meta.url).resolve('libpg-query/wasm/libpg-query.wasm');
  return wasm.compile(await readFile(path));
}

/**
 * One instance of libpg-query with a memory of its own. Synchronous and not re-entrant. An instance whose WASM threw
 * is `broken` for good: the C code was left in the middle of something, and its next answers could be anything.
 */
export class ParseEngine {
  readonly #module: PgQueryModule;
  #broken = false;

  private constructor(module: PgQueryModule) {
    this.#module = module;
  }

  static async create(code: EngineCode): Promise<ParseEngine> {
    const module = await createModule({
      instantiateWasm: (imports, receive) => receive(new wasm.Instance(code, imports)),
    });
    return new ParseEngine(module);
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** Size of the instance's memory; it only grows. */
  get memoryBytes(): number {
    return this.#module.HEAPU8.length;
  }

  /** `[start, end)` must be valid UTF-8 without NUL bytes and within the measured limits of its thread. */
  parse(bytes: Uint8Array, start: number, end: number): ParseOutcome {
    const exitCode = process.exitCode;
    try {
      return this.#parse(bytes, start, end);
    } catch (error) {
      this.#broken = true;
      // The C runtime's exit() sets the exit code of the whole process.
      process.exitCode = exitCode;
      return { kind: 'tooComplex', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #parse(bytes: Uint8Array, start: number, end: number): ParseOutcome {
    const module = this.#module;
    const text = module._malloc(end - start + 1);
    if (text === 0) throw new Error('out of memory');
    module.HEAPU8.set(bytes.subarray(start, end), text);
    module.HEAPU8[text + end - start] = 0;
    const result = module._wasm_parse_query_raw(text);
    if (result === 0) throw new Error('out of memory');
    const outcome = this.#read(result);
    module._wasm_free_parse_result(result);
    module._free(text);
    return outcome;
  }

  #read(result: number): ParseOutcome {
    const error = this.#pointer(result + RESULT_ERROR);
    if (error !== 0) {
      const message = this.#pointer(error + ERROR_MESSAGE);
      const position = this.#pointer(error + ERROR_CURSOR);
      const raisedBy = this.#pointer(error + ERROR_FUNCTION);
      return {
        kind: 'error',
        message: message === 0 ? 'syntax error' : this.#text(message),
        position: Math.max(0, position | 0),
        raisedBy: raisedBy === 0 ? '' : this.#text(raisedBy),
      };
    }
    const tree = this.#pointer(result + RESULT_TREE);
    if (tree === 0) throw new Error('no parse tree');
    const length = this.#textLength(tree);
    if (length > TREE_BYTES_MAX) {
      return { kind: 'tooComplex', reason: `the parse tree takes ${length} bytes` };
    }
    if (length > TREE_DEPTH_BYTES_MIN) {
      const depth = jsonDepth(this.#module.HEAPU8, tree, tree + length);
      if (depth > TREE_DEPTH_MAX) {
        return { kind: 'tooComplex', reason: `the parse tree is ${depth} levels deep` };
      }
    }
    return { kind: 'tree', json: this.#text(tree) };
  }

  #pointer(address: number): number {
    return this.#module.HEAPU32[address >>> 2]!;
  }

  #textLength(pointer: number): number {
    return this.#module.HEAPU8.indexOf(0, pointer) - pointer;
  }

  #text(pointer: number): string {
    const { buffer } = this.#module.HEAPU8;
    return Buffer.from(buffer, pointer, this.#textLength(pointer)).toString('utf8');
  }
}

const JSON_QUOTE = 0x22;
const JSON_BACKSLASH = 0x5c;

/** Deepest nesting of objects and arrays in JSON. */
function jsonDepth(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let deepest = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === JSON_QUOTE) {
      for (i++; bytes[i] !== JSON_QUOTE; i++) if (bytes[i] === JSON_BACKSLASH) i++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return deepest;
}

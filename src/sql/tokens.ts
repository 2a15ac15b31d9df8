import { DOT, skipBlanks } from './lexer.js';
import { tokenEnd } from './token-count.js';

/**
 * Where the tokens of a text that the grammar has accepted begin and end, as offsets in the text.
 * Numbers and operators may come in several pieces; names, keywords, strings and punctuation are
 * one token each.
 */
export class Tokens {
  readonly #bytes: Uint8Array;
  readonly #textStart: number;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** False: the text ends within a string, a quoted name or a comment, which is no token. */
  readonly isWhole: boolean;

  /** The tokens of `bytes[textStart + start, textStart + end)`. */
  constructor(bytes: Uint8Array, textStart: number, start: number, end: number) {
    this.#bytes = bytes;
    this.#textStart = textStart;
    const last = textStart + end;
    let i = skipBlanks(bytes, textStart + start, last);
    while (i >= 0 && i < last) {
      const next = tokenEnd(bytes, i, last);
      if (next < 0) break;
      this.#starts.push(i - textStart);
      this.#ends.push(next - textStart);
      i = skipBlanks(bytes, next, last);
    }
    this.isWhole = i >= last;
  }

  get count(): number {
    return this.#starts.length;
  }

  /** Those that stand in no parentheses; of these, the opening ones. */
  outsideParentheses(): number[] {
    const out: number[] = [];
    let depth = 0;
    for (let token = 0; token < this.count; token++) {
      if (this.is(token, ')')) depth--;
      else if (depth === 0) out.push(token);
      if (this.is(token, '(')) depth++;
    }
    return out;
  }

  start(index: number): number {
    return this.#starts[index]!;
  }

  end(index: number): number {
    return this.#ends[index]!;
  }

  /** The token that begins at this offset; -1 where none does. */
  at(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return this.#starts[low] === offset ? low : -1;
  }

  /** The parenthesis that closes the one at a token; -1: none. */
  closing(open: number): number {
    let depth = 0;
    for (let i = open; i < this.count; i++) {
      if (this.is(i, '(')) depth++;
      else if (this.is(i, ')') && --depth === 0) return i;
    }
    return -1;
  }

  /** Whether a token is this keyword (in lower case) or punctuation; false outside the text. */
  is(index: number, word: string): boolean {
    const start = this.#starts[index];
    if (start === undefined || this.#ends[index]! - start !== word.length) return false;
    return this.text(start, this.#ends[index]!).toLowerCase() === word;
  }

  /** The last token of the dotted name that begins with this one: `a . "b" . c`. */
  dottedEnd(index: number): number {
    let last = index;
    while (this.#byte(last + 1) === DOT) last += 2;
    return last;
  }

  /** The text between two offsets. */
  text(start: number, end: number): string {
    const from = this.#textStart + start;
    return decoder.decode(this.#bytes.subarray(from, this.#textStart + end));
  }

  #byte(index: number): number {
    const start = this.#starts[index];
    if (start === undefined || this.#ends[index]! - start !== 1) return -1;
    return this.#bytes[this.#textStart + start]!;
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

import {
  AMPERSAND,
  DOUBLE_QUOTE,
  isIdentifierStart,
  skipBlanks,
  skipDoubling,
  skipIdentifier,
} from './lexer.js';
import { tokenEnd } from './token-count.js';

/** NAMEDATALEN of PostgreSQL, without the terminating zero. */
const NAME_BYTES_MAX = 63;

/** A name that is longer than PostgreSQL keeps, and what it keeps of it: whole characters. */
export interface CutName {
  readonly given: string;
  readonly kept: string;
}

/** What PostgreSQL keeps of a name in UTF-8; null: all of it. */
export function cutName(name: Buffer): CutName | null {
  if (name.length <= NAME_BYTES_MAX) return null;
  let end = NAME_BYTES_MAX;
  while ((name[end]! & 0xc0) === 0x80) end--;
  return { given: name.toString(), kept: name.toString('utf8', 0, end) };
}

/** SQLSTATE and words of the NOTICE with which PostgreSQL cuts a name. */
export const CUT_NAME_CODE = '42622';
export function cutNameMessage({ given, kept }: CutName): string {
  return `identifier "${given}" will be truncated to "${kept}"`;
}

/**
 * The names in a text that PostgreSQL's lexer cuts, in the order in which it tells of them; but for those written as
 * `U&"..."`. Source: PostgreSQL 18, src/backend/parser/scansup.c (truncate_identifier).
 */
export function cutNames(bytes: Uint8Array, start: number, end: number): readonly CutName[] {
  if (end - start <= NAME_BYTES_MAX) return NONE;
  let found: CutName[] | null = null;
  for (let i = skipBlanks(bytes, start, end); i >= 0 && i < end;) {
    const next = tokenEnd(bytes, i, end);
    if (next < 0) break;
    if (next - i > NAME_BYTES_MAX) {
      const cut = cutName(nameOf(bytes, i, next));
      if (cut !== null) (found ??= []).push(cut);
    }
    i = skipBlanks(bytes, next, end);
  }
  return found ?? NONE;
}

const NONE: readonly CutName[] = [];
const NO_NAME: Buffer = Buffer.alloc(0);

/** The name that a token stands for; empty: it is none. */
function nameOf(bytes: Uint8Array, start: number, end: number): Buffer {
  if (bytes[start] === DOUBLE_QUOTE) {
    if (start > 0 && bytes[start - 1] === AMPERSAND) return NO_NAME;
    // It may be the first of two that stand for one.
    if (skipDoubling(bytes, start + 1, end, DOUBLE_QUOTE) !== end) return NO_NAME;
    const text = Buffer.from(bytes.subarray(start + 1, end - 1)).toString();
    return Buffer.from(text.replaceAll('""', '"'));
  }
  if (!isIdentifierStart(bytes[start]!)) return NO_NAME;
  if (skipIdentifier(bytes, start, end) !== end) return NO_NAME;
  const name = Buffer.from(bytes.subarray(start, end));
  for (let i = 0; i < name.length; i++) {
    if (name[i]! >= 0x41 && name[i]! <= 0x5a) name[i]! |= 0x20;
  }
  return name;
}

import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { SqlStateName } from '../errors/sqlstates.js';
import type { ParseOutcome } from './parse-engine.js';

interface GrammarError {
  readonly pattern: RegExp;
  /** Two places in PostgreSQL say the same with different states. */
  readonly raisedBy?: string;
  readonly state: SqlStateName;
  readonly hint?: string;
}

/**
 * libpg-query passes on the message and position of PostgreSQL's lexer and grammar, but no SQLSTATE and no hint. Nearly
 * all are 42601 without a hint; these are the others (PostgreSQL 18, scan.l, gram.y, parser.c).
 */
const exceptions: readonly GrammarError[] = [
  {
    pattern: /^invalid byte sequence for encoding/,
    state: 'character_not_in_repertoire',
  },
  {
    pattern: /^invalid Unicode escape$/,
    raisedBy: 'core_yylex',
    state: 'invalid_escape_sequence',
    hint: 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.',
  },
  {
    pattern: /^invalid Unicode escape$/,
    state: 'syntax_error',
    hint: 'Unicode escapes must be \\XXXX or \\+XXXXXX.',
  },
  {
    pattern: /^unsafe use of \\' in a string literal/,
    state: 'nonstandard_use_of_escape_character',
    hint: "Use '' to write quotes in strings. \\' is insecure in client-only encodings.",
  },
  {
    pattern: /^LIMIT #,# syntax is not supported$/,
    state: 'syntax_error',
    hint: 'Use separate LIMIT and OFFSET clauses.',
  },
  { pattern: /not yet implemented$/, state: 'feature_not_supported' },
  { pattern: / constraints cannot be (marked|altered to be) /, state: 'feature_not_supported' },
  { pattern: /^a column list with .* is only supported for /, state: 'feature_not_supported' },
  { pattern: / is no longer (supported|required)$/, state: 'feature_not_supported' },
  { pattern: /^CREATE SCHEMA IF NOT EXISTS cannot include /, state: 'feature_not_supported' },
  { pattern: /^current database cannot be changed$/, state: 'feature_not_supported' },
  { pattern: /^aggregates cannot have output arguments$/, state: 'feature_not_supported' },
  {
    pattern: /^WITH CHECK OPTION not supported on recursive views$/,
    state: 'feature_not_supported',
  },
  { pattern: /^column number must be in range /, state: 'invalid_parameter_value' },
  { pattern: /^precision for type float must be /, state: 'invalid_parameter_value' },
];

/** The error PostgreSQL raises for this text. */
export function grammarError(error: Extract<ParseOutcome, { kind: 'error' }>): SqlError {
  const { message, position, raisedBy } = error;
  const found = exceptions.find(
    (exception) =>
      exception.pattern.test(message) &&
      (exception.raisedBy === undefined || exception.raisedBy === raisedBy),
  );
  return sqlError(found?.state ?? 'syntax_error', message, {
    hint: found?.hint,
    position: position > 0 ? position : undefined,
  });
}

/** 54001, as PostgreSQL answers when its stack depth limit is reached. */
export function tooComplex(detail: string): SqlError {
  return sqlError('statement_too_complex', 'the statement is too large or nested too deeply', {
    detail,
    hint: 'Split it into smaller statements, pass long values as parameters, or load rows with COPY.',
  });
}

/** 22021 for the first bytes in `[start, end)` that are no UTF-8, in PostgreSQL's words. */
export function invalidEncoding(bytes: Uint8Array, start: number, end: number): SqlError {
  const at = firstInvalid(bytes, start, end);
  const length = Math.min(sequenceLength(bytes[at] ?? 0), end - at);
  const shown = Array.from(bytes.subarray(at, at + length), hexByte).join(' ');
  return sqlError(
    'character_not_in_repertoire',
    `invalid byte sequence for encoding "UTF8": ${shown}`,
  );
}

function hexByte(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}

/** Length that the first byte announces; bytes that begin nothing count as one. */
function sequenceLength(byte: number): number {
  if ((byte & 0xe0) === 0xc0) return 2;
  if ((byte & 0xf0) === 0xe0) return 3;
  return (byte & 0xf8) === 0xf0 ? 4 : 1;
}

function firstInvalid(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end) {
    const length = sequenceLength(bytes[i]!);
    if (bytes[i] === 0 || i + length > end || !isSequence(bytes, i, length)) return i;
    i += length;
  }
  return i;
}

/** RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
function isSequence(bytes: Uint8Array, at: number, length: number): boolean {
  const first = bytes[at]!;
  if (length === 1) return first < 0x80;
  const second = bytes[at + 1]!;
  for (let k = 1; k < length; k++) if ((bytes[at + k]! & 0xc0) !== 0x80) return false;
  if (length === 2) return first >= 0xc2;
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second < 0xa0;
  if (first === 0xf0) return second >= 0x90;
  return first < 0xf4 || (first === 0xf4 && second < 0x90);
}

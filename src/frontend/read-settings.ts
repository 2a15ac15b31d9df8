import { sqlError } from '../errors/sql-error.js';
import { LiteralKind, type Literals } from '../sql/literals.js';

const MONTH = '(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)';
/** Dates and times of day, as PostgreSQL reads them ("Date/Time Input", 8.5.1), but for 'epoch' and the like. */
const moments = new RegExp(
  [
    String.raw`\d\s*[-/.]\s*\d+\s*[-/.]\s*\d`,
    String.raw`\d:\d`,
    String.raw`\d{4}[-.]\d{3}|\d{6}|\bj\s*\d`,
    String.raw`\b${MONTH}[a-z]*[^a-z\d]*\d|\d[^a-z\d]*${MONTH}`,
    String.raw`\b(?:now|today|tomorrow|yesterday)\b`,
  ].join('|'),
  'i',
);
const none = /(?!)/;

/**
 * What a server reads constants by, and folds calls and casts of them with, once for all executions of a prepared
 * statement (PostgreSQL 18: input and output functions that are called by parse_coerce.c and clauses.c); with the form
 * of those strings that it may read as another value. Those that only folding depends on change no constant.
 */
const meaningSettings: ReadonlyMap<string, RegExp> = new Map([
  ['array_nulls', /null/i],
  ['bytea_output', none],
  ['datestyle', moments],
  ['extra_float_digits', none],
  ['intervalstyle', /-\s*\d/],
  ['lc_monetary', /\d/],
  ['timezone', moments],
  ['timezone_abbreviations', moments],
  ['transform_null_equals', none],
  ['xmlbinary', none],
  ['xmloption', /</],
]);

/** Equal while servers read the same text the same way. `setting`: a value; undefined: the server's default. */
export function meaningKey(setting: (name: string) => string | undefined): string {
  let key = '';
  for (const name of meaningSettings.keys()) {
    const value = setting(name);
    if (value !== undefined) key += `${name}\0${value}\0`;
  }
  return key;
}

/**
 * PostgreSQL reads a statement's constants when it is prepared. Here that happens again wherever it runs, so it must
 * give the same values. Throws SqlError 0A000 where it might not.
 * @param before the key of the settings under which the text was prepared
 * @param now that of those which it is to run under
 */
export function assertSameMeaning(
  text: Buffer,
  literals: Literals,
  before: string,
  now: string,
): void {
  if (before === now || literals.count === 0) return;
  const [then, today] = [valuesOf(before), valuesOf(now)];
  for (const [name, form] of meaningSettings) {
    if (then.get(name) === today.get(name) || !holds(text, literals, form)) continue;
    throw sqlError(
      'feature_not_supported',
      `a prepared statement cannot be run under another ${name} than its constants were read under`,
      { hint: 'Prepare it again, or give its values as parameters.' },
    );
  }
}

/** Whether a string constant of the text has this form, or might have it but for its escapes. */
function holds(text: Buffer, literals: Literals, form: RegExp): boolean {
  const { count, starts, ends, kinds } = literals;
  for (let i = 0; i < count; i++) {
    if (!strings.has(kinds[i]!)) continue;
    const constant = text.toString('latin1', starts[i], ends[i]);
    if (form.test(constant) || (form !== none && escaped.has(kinds[i]!) && /\\/.test(constant))) {
      return true;
    }
  }
  return false;
}

const escaped: ReadonlySet<number> = new Set([LiteralKind.escapeString, LiteralKind.unicodeString]);
const strings: ReadonlySet<number> = new Set([
  LiteralKind.string,
  LiteralKind.dollarString,
  ...escaped,
]);

function valuesOf(key: string): ReadonlyMap<string, string> {
  const parts = key.split('\0');
  const values = new Map<string, string>();
  for (let i = 0; i + 1 < parts.length; i += 2) values.set(parts[i]!, parts[i + 1]!);
  return values;
}

import { isScalar, type Node } from 'yaml';
import { formatKeyRange, parseKeyRange, type KeyRange } from '../keyspace/key-range.js';
import type { Bounds } from './limits.js';
import { describe, quoted, written, type Path, type Reader } from './reader.js';
import type { Spec } from './spec.js';
import { suggest } from '../util/suggest.js';

/** What `${NAME}` looks like; every scalar may be one, numbers too. */
const VARIABLE_PATTERN = '^\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}$';

export interface TextRules {
  /** For problems: "a host name or address". */
  readonly what: string;
  /** Null: any text but the empty one. */
  readonly pattern?: RegExp;
  /** In UTF-8. */
  readonly bytes?: Bounds;
  /** Why this text is not taken, and what to write; null where it is taken. */
  readonly refusal?: (text: string) => { readonly message: string; readonly cure: string } | null;
}

/** Text that problems may show. */
export function text(rules: TextRules): Spec<string> {
  return {
    jsonSchema: { type: 'string', minLength: 1 },
    read(reader, node, path) {
      const read = reader.text(node, path, rules.what, false);
      if (read === undefined) return undefined;
      const shown = read.quotable ? ` ${quoted(read.text)}` : '';
      const cure = `write ${rules.what}`;
      const bytes = Buffer.byteLength(read.text);
      if (bytes === 0) return report(reader, path, 'empty text', cure);
      if (read.text.includes('\0')) return report(reader, path, 'text with a NUL character', cure);
      if (rules.bytes !== undefined && bytes > rules.bytes.max) {
        const longest = `at most ${rules.bytes.max} bytes`;
        return report(reader, path, `text of ${bytes} bytes where Postgres takes ${longest}`, cure);
      }
      if (rules.pattern !== undefined && !rules.pattern.test(read.text)) {
        return report(reader, path, `${shown.trim() || 'the value'} is not ${rules.what}`, cure);
      }
      const refusal = rules.refusal?.(read.text) ?? null;
      if (refusal !== null) return report(reader, path, refusal.message, refusal.cure);
      return read.text;
    },
  };
}

/**
 * Text that never appears in a problem: a literal, `${NAME}`, or `file:PATH` (one line end at its
 * end is dropped).
 */
export function secret(what: string): Spec<string> {
  return {
    jsonSchema: { type: 'string', minLength: 1 },
    read(reader, node, path) {
      const read = reader.text(node, path, what, true);
      if (read === undefined) return undefined;
      const value = throughFile(reader, read.text, path, what);
      if (value === undefined) return undefined;
      return value === '' ? report(reader, path, `${what} is empty`, 'write one') : value;
    },
  };
}

/** What `file:PATH` holds, or the text itself. */
export function throughFile(
  reader: Reader,
  value: string,
  path: Path,
  what: string,
): string | undefined {
  if (!value.startsWith('file:')) return value;
  return reader.file(value.slice('file:'.length), path, what)?.replace(/\r?\n$/, '');
}

/** The contents of a PEM file, given by its path. */
export function pemFile(what: string): Spec<string> {
  return {
    jsonSchema: { type: 'string', minLength: 1 },
    read(reader, node, path) {
      const name = reader.text(node, path, `the path of ${what}`, false);
      if (name === undefined) return undefined;
      const pem = reader.file(name.text.replace(/^file:/, ''), path, what);
      if (pem === undefined || pem.includes('-----BEGIN ')) return pem;
      return report(reader, path, `the file of ${what} holds no PEM`, 'name a file in PEM format');
    },
  };
}

export function integer(bounds: Bounds, what: string): Spec<number> {
  const { min, max } = bounds;
  return {
    jsonSchema: {
      anyOf: [
        { type: 'integer', minimum: min, maximum: max },
        { type: 'string', pattern: VARIABLE_PATTERN },
      ],
    },
    read(reader, node, path) {
      const cure = `write ${what} from ${min} to ${max}`;
      const raw = scalarText(reader, node, path, cure);
      if (raw === undefined) return undefined;
      const shown = raw.quotable ? written(raw.text) : 'the value';
      if (!/^[-+]?[0-9]+$/.test(raw.text)) {
        return report(reader, path, `${shown} is no whole number`, cure);
      }
      const value = Number(raw.text);
      if (value < min || value > max) return report(reader, path, `${shown} is out of range`, cure);
      return value;
    },
  };
}

interface UnitRules {
  readonly what: string;
  readonly units: Readonly<Record<string, number>>;
  /** For the cure. */
  readonly examples: string;
  readonly pattern: string;
}

const DURATION: UnitRules = {
  what: 'duration',
  units: { ms: 1, s: 1000, m: 60_000, h: 3_600_000 },
  examples: '250ms, 5s, 10m or 1h',
  pattern: '^(0|[0-9]+ ?(ms|s|m|h))$',
};
const AGE: UnitRules = {
  what: 'number of hours, days or weeks',
  units: { h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 },
  examples: '12h, 90d or 26w',
  pattern: '^(0|[0-9]+ ?(h|d|w))$',
};
const SIZE: UnitRules = {
  what: 'size',
  units: { KB: 1024, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 },
  examples: '512kB, 64MB or 1GB',
  pattern: '^[0-9]+ ?(kB|KB|MB|GB)$',
};

/** `250ms`, `5s`, `10m`, `1h`; plain 0 where the bounds allow it. In milliseconds. */
export function duration(bounds: Bounds): Spec<number> {
  return measure(bounds, DURATION);
}

/** `12h`, `90d`, `26w`, or 0. In milliseconds. */
export function age(): Spec<number> {
  return measure({ min: 0, max: 5200 * AGE.units['w']! }, AGE);
}

/** `512kB`, `64MB`, `1GB`, powers of 1024 as Postgres has them. In bytes. */
export function size(bounds: Bounds): Spec<number> {
  return measure(bounds, SIZE);
}

function measure(bounds: Bounds, rules: UnitRules): Spec<number> {
  const zero = bounds.min === 0;
  const number = zero ? [{ const: 0 }] : [];
  const cure = `write a ${rules.what} such as ${rules.examples}${zero ? ', or 0' : ''}`;
  return {
    jsonSchema: {
      anyOf: [
        ...number,
        { type: 'string', pattern: rules.pattern },
        { type: 'string', pattern: VARIABLE_PATTERN },
      ],
    },
    read(reader, node, path) {
      const raw = scalarText(reader, node, path, cure);
      if (raw === undefined) return undefined;
      const shown = raw.quotable ? quoted(raw.text) : 'the value';
      const match = /^([0-9]+) ?([A-Za-z]*)$/.exec(raw.text);
      if (match === null) return report(reader, path, `${shown} is no ${rules.what}`, cure);
      const count = Number(match[1]);
      const unit = match[2]!;
      if (unit === '' && count !== 0) return report(reader, path, `${shown} has no unit`, cure);
      const factor = unit === '' ? 1 : Object.hasOwn(rules.units, unit) ? rules.units[unit]! : null;
      if (factor === null) return report(reader, path, `${shown} has an unknown unit`, cure);
      const value = count * factor;
      if (value >= bounds.min && value <= bounds.max) return value;
      const [least, most] = [show(bounds.min, rules), show(bounds.max, rules)];
      return report(
        reader,
        path,
        `${shown} is out of range`,
        `write a ${rules.what} from ${least} to ${most}`,
      );
    },
  };
}

/** A bound in the largest unit that shows it without a fraction, or the nearest below. */
function show(value: number, rules: UnitRules): string {
  if (value === 0) return '0';
  const fitting = Object.entries(rules.units).filter(([, factor]) => factor <= value);
  const exact = fitting.filter(([, factor]) => value % factor === 0);
  const [unit, factor] = (exact.length > 1 ? exact : fitting).at(-1) ?? ['', 1];
  return `${Math.floor(value / factor)}${unit}`;
}

export function choice<const C extends readonly string[]>(choices: C): Spec<C[number]> {
  return {
    jsonSchema: { type: 'string', enum: choices },
    read(reader, node, path) {
      const cure = `write ${oneOf(choices)}`;
      const raw = scalarText(reader, node, path, cure);
      if (raw === undefined) return undefined;
      if (choices.includes(raw.text)) return raw.text;
      const shown = raw.quotable ? quoted(raw.text) : 'the value';
      const meant = raw.quotable ? suggest(raw.text, choices) : null;
      const advice = meant === null ? cure : `did you mean ${meant}?`;
      return report(reader, path, `${shown} is not one of the choices`, advice);
    },
  };
}

/** Any text, number or truth value, as its text: what a setting of PostgreSQL may be. */
/** `true` or `false`. */
export function yesOrNo(): Spec<boolean> {
  const words = choice(['true', 'false']);
  return {
    jsonSchema: { type: 'boolean' },
    read(reader, node, path) {
      const said = words.read(reader, node, path);
      return said === undefined ? undefined : said === 'true';
    },
  };
}

export function settingValue(): Spec<string> {
  return {
    jsonSchema: { type: ['string', 'number', 'boolean'] },
    read(reader, node, path) {
      const raw = scalarText(reader, node, path, 'write the value as SET would take it');
      if (raw === undefined || !raw.text.includes('\0')) return raw?.text;
      return report(reader, path, 'text with a NUL character', 'leave it out');
    },
  };
}

/** A day (its begin in UTC) or a moment with its time zone, in ISO 8601. In ms since 1970. */
export function moment(): Spec<number> {
  const cure = 'write a day or a moment such as 2030-12-31 or 2030-12-31T18:00:00Z';
  return {
    jsonSchema: { type: 'string', minLength: 1 },
    read(reader, node, path) {
      const raw = scalarText(reader, node, path, cure);
      if (raw === undefined) return undefined;
      const valid = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(raw.text);
      const time = valid ? Date.parse(raw.text.replace(' ', 'T')) : NaN;
      if (!Number.isNaN(time)) return time;
      const shown = raw.quotable ? quoted(raw.text) : 'the value';
      return report(reader, path, `${shown} is no day or moment`, cure);
    },
  };
}

/** 1, or `auto`, which a later version takes for one process per core. */
export function workers(): Spec<number> {
  return {
    jsonSchema: { anyOf: [{ type: 'integer', minimum: 1 }, { const: 'auto' }] },
    read(reader, node, path) {
      const raw = scalarText(reader, node, path, 'write 1');
      if (raw === undefined) return undefined;
      if (raw.text === '1') return 1;
      const valid = raw.text === 'auto' || /^[1-9][0-9]{0,3}$/.test(raw.text);
      const shown = raw.quotable ? written(raw.text) : 'the value';
      const fault = valid ? 'is not supported yet' : 'is no number of processes';
      return report(reader, path, `workers: ${shown} ${fault}`, 'write 1');
    },
  };
}

/**
 * `-40`, `40-80`, `c0-`, `-`. Unquoted `-40` is a number to YAML; its source text is what counts.
 */
export function keyRange(): Spec<KeyRange> {
  const cure = 'write hex bounds such as "-40", "40-80", "c0-" or "-" for everything';
  return {
    // A bare -40 is an integer to YAML; the pattern is the one of parseKeyRange.
    jsonSchema: {
      anyOf: [
        { type: 'string', pattern: '^[0-9a-fA-F]{0,16}-[0-9a-fA-F]{0,16}$' },
        { type: 'integer' },
      ],
    },
    read(reader, node, path) {
      const raw = scalarText(reader, node, path, cure);
      if (raw === undefined) return undefined;
      const range = parseKeyRange(raw.text);
      if (range !== null) return range;
      const shown = raw.quotable ? quoted(raw.text) : 'the value';
      const backwards = parseKeyRange(raw.text.split('-').reverse().join('-'));
      if (backwards !== null && raw.text.includes('-')) {
        const turned = `write it from low to high, such as "${formatKeyRange(backwards)}"`;
        return report(reader, path, `${shown} is an empty key range`, turned);
      }
      return report(reader, path, `${shown} is no key range`, cure);
    },
  };
}

/** Any YAML scalar as its text: `5`, `"5"` and `${FIVE}` alike. */
function scalarText(
  reader: Reader,
  node: Node,
  path: Path,
  cure: string,
): { readonly text: string; readonly quotable: boolean } | undefined {
  if (isScalar(node) && typeof node.value === 'string') return reader.text(node, path, cure, false);
  if (isScalar(node) && (typeof node.value === 'number' || typeof node.value === 'boolean')) {
    return { text: (node.source ?? String(node.value)).trim(), quotable: true };
  }
  reader.report(path, `expected a plain value, found ${describe(node)}`, cure);
  return undefined;
}

function oneOf(choices: readonly string[]): string {
  if (choices.length < 2) return choices.join();
  return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}

function report(reader: Reader, path: Path, message: string, cure: string): undefined {
  reader.report(path, message, cure);
}

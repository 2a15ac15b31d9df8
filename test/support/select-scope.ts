import type { Dice } from './chaos-random.js';
import { pools, type Kind } from './select-schema.js';
import type { SelectParameter } from './select-session.js';

/** SQL of one value, in operators' terms. */
export interface Expression {
  readonly sql: string;
  readonly kind: Kind;
  /** Equal values look the same, so that grouping and distinctness leave one answer. */
  readonly exact: boolean;
}

/** A column that a query gives, by its name. */
export interface OutputColumn {
  readonly name: string;
  readonly kind: Kind;
  readonly exact: boolean;
}

/** What one item of FROM offers. */
export interface Source {
  readonly columns: readonly Expression[];
  /** Columns that tell all its rows apart; null: none do. */
  readonly unique: readonly string[] | null;
  /** `unique` is the primary key of a table. Absent: it is not. */
  readonly primaryKey?: boolean;
  /** The column that tables are sharded by. */
  readonly key: string | null;
  readonly rows: number;
}

/** The columns that expressions may name: those of this query and of those around it. */
export interface Scope {
  readonly own: readonly Source[];
  readonly outer: readonly Source[];
}

export const kinds = [
  ...(['int', 'big', 'num', 'flt', 'txt', 'ctx', 'itx', 'bool', 'date', 'ts'] as const),
  ...(['tz', 'itv', 'uid', 'byt', 'jsn', 'arr', 'tags', 'enm', 'enms'] as const),
  ...(['rng', 'adr', 'net', 'tsv'] as const),
];

export const typeNames: Readonly<Record<Kind, string>> = {
  int: 'int4',
  big: 'int8',
  num: 'numeric',
  flt: 'float8',
  txt: 'text',
  ctx: 'text',
  itx: 'text',
  bool: 'bool',
  date: 'date',
  ts: 'timestamp',
  tz: 'timestamptz',
  itv: 'interval',
  uid: 'uuid',
  byt: 'bytea',
  jsn: 'jsonb',
  arr: 'int4[]',
  tags: 'text[]',
  enm: 'mood',
  enms: 'mood[]',
  rng: 'int4range',
  adr: 'address',
  net: 'inet',
  tsv: 'tsvector',
};

const literalPools: Readonly<Record<Kind, readonly string[]>> = {
  int: pools['int']!,
  big: ['0', '1', '2', '3', '5', '8', '13', '5000000000', '-7000000000', '900', 'NULL'],
  num: pools['numLoose']!,
  flt: pools['fltLoose']!,
  txt: [...pools['word']!, ...pools['letter']!],
  ctx: pools['letter']!,
  itx: pools['letter']!,
  bool: pools['bool']!,
  date: pools['date']!,
  ts: pools['ts']!,
  tz: pools['tz']!,
  itv: pools['itv']!,
  uid: pools['uid']!,
  byt: pools['byt']!,
  jsn: pools['jsn']!,
  arr: pools['arr']!,
  tags: pools['tags']!,
  enm: pools['enm']!,
  enms: pools['enms']!,
  rng: pools['rng']!,
  adr: pools['adr']!,
  net: pools['net']!,
  tsv: pools['tsv']!,
};

const INT4 = 23;
const INT8 = 20;

/** Literals of a statement, some of them as parameters. */
export class Values {
  readonly #dice: Dice;
  readonly #params: SelectParameter[] = [];
  /** How often a literal becomes a parameter. */
  readonly #paramShare: number;

  constructor(dice: Dice, paramShare: number) {
    this.#dice = dice;
    this.#paramShare = paramShare;
  }

  /** A literal with its type, for everywhere. */
  typed(kind: Kind): string {
    const literal = this.#dice.pick(literalPools[kind]);
    const type = typeNames[kind];
    const collation = kind === 'ctx' ? ' COLLATE "C"' : kind === 'itx' ? ' COLLATE "en-x-icu"' : '';
    if (collation !== '') return `(${literal}::text${collation})`;
    if (!this.#dice.chance(this.#paramShare)) return `${parenthesized(literal)}::${type}`;
    return `${this.#param(literal, kind)}::${type}`;
  }

  /** A literal that takes its type from what it is compared with. */
  plain(kind: Kind): string {
    const literal = this.#dice.pick(literalPools[kind]);
    return this.#dice.chance(this.#paramShare) ? this.#param(literal, kind) : literal;
  }

  /** A small count, for LIMIT and OFFSET. */
  count(bound: number): string {
    const count = String(this.#dice.below(bound));
    if (!this.#dice.chance(this.#paramShare)) return count;
    this.#params.push({ value: count, type: 0 });
    return `$${this.#params.length}`;
  }

  /** Leaves out the parameters of what was drawn but not used, and numbers the others anew. */
  finish(sql: string): {
    readonly sql: string;
    readonly params: readonly SelectParameter[];
    readonly renumbered: (sql: string) => string;
  } {
    const numbers = [...new Set([...sql.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)))];
    numbers.sort((a, b) => a - b);
    const renumbered = (text: string): string =>
      text.replace(/\$(\d+)/g, (_, number) => `$${numbers.indexOf(Number(number)) + 1}`);
    const params = numbers.map((number) => this.#params[number - 1]!);
    return { sql: renumbered(sql), params, renumbered };
  }

  #param(literal: string, kind: Kind): string {
    const value = literal === 'NULL' ? null : unquoted(literal);
    const binary = value !== null && this.#dice.chance(0.3);
    if (binary && kind === 'int') this.#params.push({ value: int4(Number(value)), type: INT4 });
    else if (binary && kind === 'big') this.#params.push({ value: int8(value), type: INT8 });
    else this.#params.push({ value, type: 0 });
    return `$${this.#params.length}`;
  }
}

function parenthesized(literal: string): string {
  return literal.startsWith('-') ? `(${literal})` : literal;
}

function unquoted(literal: string): string {
  return literal.startsWith("'") ? literal.slice(1, -1).replaceAll("''", "'") : literal;
}

function int4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int8(value: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

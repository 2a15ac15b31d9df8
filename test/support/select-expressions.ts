import type { Dice } from './chaos-random.js';
import type { Kind } from './select-schema.js';
import { kinds, typeNames, type Expression, type Scope, type Values } from './select-scope.js';

/** Writes sub-selects where expressions hold some. */
export interface SubSelects {
  /** Of one column of that kind. */
  column(kind: Kind, scope: Scope): string;
  /** Of one column and at most one row. */
  scalar(kind: Kind, scope: Scope): string;
  /** Of any columns, for EXISTS. */
  any(scope: Scope): string;
  /** A condition that compares rows. */
  rows(scope: Scope): string;
  /** A whole row in an expression; null: there is none to be had. */
  wholeRow(scope: Scope): Expression | null;
}

const numeric: readonly Kind[] = ['int', 'big', 'num', 'flt'];
/** Kinds of which equal values may look different. */
const loose: readonly Kind[] = ['num', 'flt', 'itv'];

/** Random values and conditions over the columns of a scope. None of them fails for any row. */
export class Expressions {
  readonly #dice: Dice;
  readonly #values: Values;
  readonly #subSelects: SubSelects;

  constructor(dice: Dice, values: Values, subSelects: SubSelects) {
    this.#dice = dice;
    this.#values = values;
    this.#subSelects = subSelects;
  }

  /** A column of that kind, of this query rather than of an outer one; null where there is none. */
  column(kind: Kind, scope: Scope): Expression | null {
    const own = scope.own.flatMap((source) => source.columns.filter((c) => c.kind === kind));
    const outer = scope.outer.flatMap((source) => source.columns.filter((c) => c.kind === kind));
    const from = own.length === 0 || (outer.length > 0 && this.#dice.chance(0.25)) ? outer : own;
    return from.length === 0 ? null : this.#dice.pick(from);
  }

  /** Any column of this query's own sources. */
  anyColumn(scope: Scope): Expression | null {
    const all = scope.own.flatMap(({ columns }) => columns);
    return all.length === 0 ? null : this.#dice.pick(all);
  }

  /** A kind that the sources have a column of, mostly. */
  kind(scope: Scope): Kind {
    const column = this.anyColumn(scope);
    return column === null || this.#dice.chance(0.1) ? this.#dice.pick(kinds) : column.kind;
  }

  value(kind: Kind, scope: Scope, depth: number): Expression {
    const column = this.#dice.chance(depth > 0 ? 0.6 : 0.85) ? this.column(kind, scope) : null;
    if (column !== null) return column;
    if (depth <= 0 || this.#dice.chance(0.2)) return this.#literal(kind);
    const row = this.#dice.chance(0.04) ? this.#subSelects.wholeRow(scope) : null;
    if (row?.kind === kind) return row;
    if (this.#dice.chance(0.08)) {
      return { sql: `(${this.#subSelects.scalar(kind, scope)})`, kind, exact: false };
    }
    if (this.#dice.chance(0.25)) return this.#general(kind, scope, depth - 1);
    const sql = this.#special(kind, scope, depth - 1);
    return { sql, kind, exact: !loose.includes(kind) };
  }

  /** A value that groups, and sorts, with one answer. */
  exactValue(kind: Kind, scope: Scope, depth: number): Expression {
    for (let tries = 0; tries < 4; tries++) {
      const value = this.value(kind, scope, depth);
      if (value.exact) return value;
    }
    const value = this.value(kind, scope, depth);
    if (kind === 'num') return exact(`round(${value.sql}, 2)`, kind);
    if (kind === 'flt') return exact(`(${value.sql} + 0)`, kind);
    if (kind === 'txt') return exact(`(${value.sql} || '')`, kind);
    if (kind === 'itv')
      return exact(`CASE WHEN ${value.sql} > '1 day' THEN interval '1 h' END`, kind);
    return exact(value.sql, kind);
  }

  #literal(kind: Kind): Expression {
    return { sql: this.#values.typed(kind), kind, exact: !loose.includes(kind) };
  }

  #general(kind: Kind, scope: Scope, depth: number): Expression {
    const a = this.value(kind, scope, depth);
    const b = this.value(kind, scope, depth);
    const condition = (): string => this.condition(scope, depth);
    const sql = this.#dice.pick([
      () => `coalesce(${a.sql}, ${b.sql})`,
      () => `nullif(${a.sql}, ${b.sql})`,
      () => `CASE WHEN ${condition()} THEN ${a.sql} ELSE ${b.sql} END`,
      () => `CASE WHEN ${condition()} THEN ${a.sql} END`,
      () => (kind === 'jsn' ? `coalesce(${b.sql}, ${a.sql})` : `greatest(${a.sql}, ${b.sql})`),
    ])();
    return { sql, kind, exact: a.exact && b.exact };
  }

  /** Functions and operators of one kind. */
  #special(kind: Kind, scope: Scope, depth: number): string {
    const of = (other: Kind): string => this.value(other, scope, depth).sql;
    const made: Readonly<Record<Kind, readonly (() => string)[]>> = {
      int: [
        () => `(${of('int')} + ${of('int')})`,
        () => `abs(${of('int')})`,
        () => `length(${of('txt')})`,
        () => `mod(${of('int')}, 3)`,
        () => `(${of('int')} * 2)`,
        () => `cardinality(${of('arr')})`,
        () => `ascii(${of('txt')})`,
        () => `lower(${of('rng')})`,
        () => `(${of('adr')}).number`,
      ],
      big: [
        () => `${of('int')}::int8`,
        () => `(${of('big')} + ${of('int')})`,
        () => `(${of('big')} % 5)`,
        () => `abs(${of('big')})`,
      ],
      num: [
        () => `(${of('num')} + ${of('num')})`,
        () => `(${of('num')} * 2.5)`,
        () => `round(${of('num')}, 1)`,
        () => `${of('int')}::numeric`,
        () => `trunc(${of('num')}, 1)`,
      ],
      flt: [
        () => `(${of('flt')} * 2)`,
        () => `${of('int')}::float8`,
        () => `(${of('flt')} + ${of('flt')})`,
        () => `(-${of('flt')})`,
      ],
      txt: [
        () => `upper(${of('txt')})`,
        () => `(${of('txt')} || ${of('txt')})`,
        () => `left(${of('txt')}, 1)`,
        () => `${of('int')}::text`,
        () => `${of('num')}::text`,
        () => `concat(${of('txt')}, '-', ${of('date')})`,
        () => `replace(${of('txt')}, 'a', 'bb')`,
        () => `${of('enm')}::text`,
        () => `${of('tz')}::text`,
        () => `${of('itv')}::text`,
        () => `${of('txt')}::varchar(3)`,
        () => `(${of('jsn')} ->> 'a')`,
        () => `(${of('adr')}).street`,
        () => `host(${of('net')})`,
      ],
      ctx: [() => `(${of('txt')} COLLATE "C")`, () => `lower(${of('ctx')})`],
      itx: [() => `(${of('txt')} COLLATE "en-x-icu")`, () => `upper(${of('itx')})`],
      bool: [() => `(${this.condition(scope, depth)})`],
      date: [
        () => `(${of('date')} + 1)`,
        () => `${of('ts')}::date`,
        () => `least(${of('date')}, date '2024-03-01')`,
      ],
      ts: [() => `date_trunc('day', ${of('ts')})`, () => `${of('date')}::timestamp`],
      tz: [() => `date_trunc('hour', ${of('tz')})`, () => `${of('ts')}::timestamptz`],
      itv: [() => `(${of('itv')} * 2)`, () => `make_interval(days => ${of('int')})`],
      uid: [() => `coalesce(${of('uid')}, '00000000-0000-0000-0000-000000000001')`],
      byt: [() => `convert_to(${of('txt')}, 'UTF8')`, () => `(${of('byt')} || '\\x01'::bytea)`],
      jsn: [
        () => `jsonb_build_object('k', ${of('int')}, 't', ${of('txt')})`,
        () => `to_jsonb(${of('int')})`,
        () => `(${of('jsn')} -> 'a')`,
      ],
      arr: [
        () => `ARRAY[${of('int')}, ${of('int')}]::int4[]`,
        () => `ARRAY[${of('int')}]::int4[]`,
        () => `ARRAY(SELECT x.i FROM (${this.#subSelects.column('int', scope)}) x (i) ORDER BY 1)`,
      ],
      tags: [() => `ARRAY[${of('txt')}]::text[]`, () => `string_to_array(${of('txt')}, ' ')`],
      enm: [() => `coalesce(${of('enm')}, 'ok')`, () => `greatest(${of('enm')}, 'meh')`],
      enms: [() => `ARRAY[${of('enm')}]`, () => `ARRAY[]::mood[]`],
      rng: [
        () => `(${of('rng')} * ${of('rng')})`,
        () => `int4range(${of('int')}, NULL)`,
        () => `range_merge(${of('rng')}, '[1,2)')`,
      ],
      adr: [
        () => `ROW(${of('txt')}, ${of('int')})::address`,
        () => `coalesce(${of('adr')}, '(z,9)')`,
      ],
      net: [() => `(${of('net')} + 1)`, () => `set_masklen(${of('net')}, 16)`],
      tsv: [() => `to_tsvector('simple', ${of('txt')})`, () => `(${of('tsv')} || ${of('tsv')})`],
    };
    return this.#dice.pick(made[kind])();
  }

  /** Any number of conditions in a row. */
  conditions(scope: Scope, depth: number, most: number): string {
    const count = this.#dice.between(1, most);
    return Array.from({ length: count }, () => this.condition(scope, depth)).join(' AND ');
  }

  condition(scope: Scope, depth: number): string {
    const dice = this.#dice;
    if (depth > 0 && dice.chance(0.2)) {
      const join = dice.pick([' AND ', ' OR ', ' OR ']);
      return `(${this.condition(scope, depth - 1)}${join}${this.condition(scope, depth - 1)})`;
    }
    if (depth > 0 && dice.chance(0.08)) return `NOT (${this.condition(scope, depth - 1)})`;
    if (depth > 0 && dice.chance(0.25)) return this.#subSelectCondition(scope);
    if (dice.chance(0.15)) return this.#keyCondition(scope);
    if (depth > 0 && dice.chance(0.05)) return this.#subSelects.rows(scope);
    return this.#comparison(scope, depth);
  }

  /** What decides where a statement goes. */
  #keyCondition(scope: Scope): string {
    const keys = scope.own.flatMap(({ key, columns }) => columns.filter(({ sql }) => sql === key));
    if (keys.length === 0) return this.#comparison(scope, 0);
    const { sql: key, kind } = this.#dice.pick(keys);
    const value = (): string => this.#values.plain(kind);
    return this.#dice.pick([
      () => `${key} = ${value()}`,
      () => `${key} IN (${value()}, ${value()}, ${value()})`,
      () => `${key} = ANY (ARRAY[${value()}, ${value()}]::${typeNames[kind]}[])`,
      () => `${key} >= ${value()}`,
      () => `${key} < ${value()}`,
      () => `${key} BETWEEN ${value()} AND ${value()}`,
      () => `${key} IS NOT DISTINCT FROM ${value()}`,
      () => `(${key}, 1) IN ((${value()}, 1), (${value()}, 2))`,
      () => `(${key} = ${value()} OR ${key} = ${value()})`,
    ])();
  }

  #comparison(scope: Scope, depth: number): string {
    const dice = this.#dice;
    const column = this.anyColumn(scope);
    const kind = column?.kind ?? dice.pick(kinds);
    const a = column !== null && dice.chance(0.7) ? column.sql : this.value(kind, scope, depth).sql;
    const b = (): string =>
      dice.chance(0.6) ? this.#values.plain(kind) : this.value(kind, scope, depth).sql;
    const operator = dice.pick(['=', '=', '<>', '<', '<=', '>', '>=']);
    const forms = [
      () => `${a} ${operator} ${this.#typedFor(a, kind, b())}`,
      () => `${a} ${operator} ${this.#typedFor(a, kind, b())}`,
      () => `${a} IS NULL`,
      () => `${a} IS NOT NULL`,
      () => `${a} IS DISTINCT FROM ${this.#typedFor(a, kind, b())}`,
      () => `${a} IN (${this.#values.typed(kind)}, ${this.#values.typed(kind)})`,
      () => `${a} BETWEEN ${this.#values.typed(kind)} AND ${this.#values.typed(kind)}`,
    ];
    if (kind === 'bool')
      forms.push(
        () => a,
        () => `${a} IS NOT TRUE`,
      );
    if (kind === 'txt') {
      forms.push(() => `${a} LIKE ${dice.pick(["'a%'", "'%b'", "'_'", "'%'"])}`);
      forms.push(() => `${a} ~ '^[a-z]'`);
    }
    if (kind === 'arr')
      forms.push(
        () => `${a} @> ARRAY[1]`,
        () => `2 = ANY (${a})`,
      );
    if (kind === 'rng') {
      forms.push(
        () => `${a} @> 2`,
        () => `${a} && '[2,4)'`,
        () => `isempty(${a})`,
      );
    }
    if (kind === 'net') forms.push(() => `${a} << '10.0.0.0/8'`);
    if (kind === 'tsv') forms.push(() => `${a} @@ 'cat'`);
    if (kind === 'adr') forms.push(() => `(${a}).number > 0`);
    if (kind === 'tags') forms.push(() => `'b' = ANY (${a})`);
    if (kind === 'jsn')
      forms.push(
        () => `${a} ? 'a'`,
        () => `${a} @> '{"a": 1}'`,
      );
    if (numeric.includes(kind)) {
      forms.push(() => `${a} > ${this.value(dice.pick(numeric), scope, 0).sql}`);
      forms.push(() => `(${a}, 1) < (${this.#values.typed(kind)}, 2)`);
    }
    return dice.pick(forms)();
  }

  /** A bare literal between two literals has no type: one of them gets it. */
  #typedFor(left: string, kind: Kind, right: string): string {
    if (/[a-z_]/.test(left) && !left.startsWith('$')) return right;
    const untyped = /^('|\$\d+$|NULL$)/.test(right);
    return untyped ? `${right}::${typeNames[kind]}` : right;
  }

  #subSelectCondition(scope: Scope): string {
    const dice = this.#dice;
    const not = dice.chance(0.35) ? 'NOT ' : '';
    if (dice.chance(0.4)) return `${not}EXISTS (${this.#subSelects.any(scope)})`;
    const column = this.anyColumn(scope);
    const kind = column?.kind ?? 'int';
    const a = column?.sql ?? this.#values.typed(kind);
    if (dice.chance(0.6)) return `${a} ${not}IN (${this.#subSelects.column(kind, scope)})`;
    if (dice.chance(0.5)) {
      const operator = dice.pick(['=', '<', '>=', '<>']);
      const some = dice.pick(['ANY', 'ALL', 'SOME']);
      return `${a} ${operator} ${some} (${this.#subSelects.column(kind, scope)})`;
    }
    const operator = dice.pick(['=', '<', '>=']);
    return `${a} ${operator} (${this.#subSelects.scalar(kind, scope)})`;
  }
}

function exact(sql: string, kind: Kind): Expression {
  return { sql, kind, exact: true };
}

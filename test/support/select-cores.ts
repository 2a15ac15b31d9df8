import type { Dice } from './chaos-random.js';
import { Aggregates, uniqueOf } from './select-aggregates.js';
import { Expressions } from './select-expressions.js';
import type { Kind } from './select-schema.js';
import { kinds, type Expression, type Scope, type Source, type Values } from './select-scope.js';
import { Rarities, type RareSelect } from './select-rarities.js';
import { Sources, type FromClause, type Query } from './select-sources.js';

/** One SELECT without ORDER BY. */
export interface Core {
  readonly sql: string;
  readonly list: readonly Expression[];
  /** Names of the columns, where they have some that ORDER BY can use. */
  readonly names: readonly (string | null)[];
  /** What else ORDER BY may name to make the order total; null: nothing. */
  readonly hidden: readonly string[] | null;
  /** Whether ORDER BY may hold expressions that are not in the list. */
  readonly free: Scope | null;
}

const orderDirections = [
  ...['', '', '', ' DESC', ' ASC', ' NULLS FIRST', ' DESC NULLS LAST', ' ASC NULLS LAST'],
];

/** Writes SELECTs of every form, and those within them: plain, distinct, grouped, set operations. */
export class Cores {
  readonly #dice: Dice;
  readonly #values: Values;
  readonly expressions: Expressions;
  readonly #aggregates: Aggregates;
  readonly sources: Sources;
  readonly #rarities: Rarities;

  constructor(dice: Dice, values: Values) {
    this.#dice = dice;
    this.#values = values;
    this.expressions = new Expressions(dice, values, {
      column: (kind, scope) => this.#singleColumn(kind, scope),
      scalar: (kind, scope) => this.#scalar(kind, scope),
      any: (scope) => this.query(0, around(scope)).sql,
      rows: (scope) => this.#rarities.rowCondition(scope, 0),
      wholeRow: (scope) => this.#rarities.wholeRow(scope),
    });
    const query = (depth: number, outer: readonly Source[]): Query => this.query(depth, outer);
    this.#rarities = new Rarities(dice, values, this.expressions, query);
    this.#aggregates = new Aggregates(dice, this.expressions, this.#rarities);
    this.sources = new Sources(dice, values, this.expressions, query);
  }

  /** A query with named columns, for FROM and WITH. */
  query(depth: number, outer: readonly Source[]): Query {
    const core = this.core(depth, outer, null, false);
    const columns = core.list.map(({ kind, exact }, i) => ({ name: `c${i}`, kind, exact }));
    return { sql: `${core.sql}${this.#innerCut(core)}`, columns };
  }

  /** ORDER BY and LIMIT of a sub-select: only such as leave one answer. */
  #innerCut(core: Core): string {
    if (!this.#dice.chance(0.15)) return '';
    const items = [...core.list.keys()].map((i) => `${i + 1}${this.direction()}`);
    if (core.hidden !== null) items.push(...core.hidden);
    else if (core.list.some(({ exact }) => !exact)) return ` ORDER BY ${items.join(', ')}`;
    const limit = this.#dice.chance(0.8) ? ` LIMIT ${this.#dice.between(1, 12)}` : '';
    const offset = this.#dice.chance(0.3) ? ` OFFSET ${this.#dice.between(0, 4)}` : '';
    return ` ORDER BY ${items.join(', ')}${limit}${offset}`;
  }

  #singleColumn(kind: Kind, scope: Scope): string {
    const core = this.core(0, around(scope), [kind], false);
    return `${core.sql}${this.#innerCut(core)}`;
  }

  #scalar(kind: Kind, scope: Scope): string {
    const outer = around(scope);
    const from = this.sources.from(0, outer, 2);
    const inner: Scope = { own: from.sources, outer };
    const where = this.#where(inner, 0);
    if (kind === 'big' && this.#dice.chance(0.4)) return `SELECT count(*) FROM ${from.sql}${where}`;
    const value = this.expressions.exactValue(kind, { own: from.sources, outer: [] }, 1);
    if (['bool', 'uid', 'jsn', 'tags', 'enms', 'itx'].includes(kind) || this.#dice.chance(0.4)) {
      const order = `ORDER BY ${value.sql}${this.direction()}`;
      return `SELECT ${value.sql} FROM ${from.sql}${where} ${order} LIMIT 1`;
    }
    return `SELECT ${this.#dice.pick(['min', 'max'])}(${value.sql}) FROM ${from.sql}${where}`;
  }

  /**
   * A SELECT or set operation, without parentheses around it.
   * @param wanted kinds of the columns; null: whatever comes
   * @param top whether columns may go without names of ours
   */
  core(
    depth: number,
    outer: readonly Source[],
    wanted: readonly Kind[] | null,
    top: boolean,
  ): Core {
    const dice = this.#dice;
    if (depth > 0 && dice.chance(0.13)) return this.#setOperation(depth, outer, wanted, top);
    const from = this.sources.from(depth, outer, top ? 4 : 2);
    const scope: Scope = { own: from.sources, outer };
    const kind = dice.below(100);
    if (kind < 22) return this.#grouped(from, scope, depth, wanted, top);
    if (kind < 29 && wanted === null) return this.#totals(from, scope, depth, top);
    if (kind < 37) return this.#distinct(from, scope, depth, wanted, top);
    if (kind < 43) return this.#distinctOn(from, scope, depth, wanted, top);
    if (kind < 45 && top && wanted === null) return this.#everything(from, scope, depth);
    if (kind < 51 && wanted === null) {
      const rare = kind < 48 ? this.#rarities.setsInList(scope) : this.#rarities.groupedByKey(from);
      if (rare !== null) return this.#rare(rare, from, scope, depth, top);
    }
    const list = this.#list(scope, depth, wanted, false);
    if (wanted === null && dice.chance(0.14)) list.push(this.#aggregates.window(scope));
    return {
      ...this.#named(list, top),
      sql: `SELECT ${this.#items(list, top)} FROM ${from.sql}${this.#where(scope, depth)}`,
      hidden: uniqueOf(from.sources),
      free: scope,
    };
  }

  #rare(
    { list, tail }: RareSelect,
    from: FromClause,
    scope: Scope,
    depth: number,
    top: boolean,
  ): Core {
    const where = this.#where(scope, depth);
    return {
      ...this.#named(list, top),
      sql: `SELECT ${this.#items(list, top)} FROM ${from.sql}${where}${tail}`,
      hidden: null,
      free: null,
    };
  }

  #everything(from: FromClause, scope: Scope, depth: number): Core {
    const columns = from.sources.flatMap((source) => source.columns);
    return {
      sql: `SELECT * FROM ${from.sql}${this.#where(scope, depth)}`,
      list: columns,
      names: columns.map(() => null),
      hidden: uniqueOf(from.sources),
      free: scope,
    };
  }

  #list(scope: Scope, depth: number, wanted: readonly Kind[] | null, exact: boolean): Expression[] {
    const list = wanted ?? Array.from({ length: this.#dice.between(1, 4) }, () => this.kind(scope));
    return list.map((kind) =>
      exact
        ? this.expressions.exactValue(kind, scope, depth)
        : this.expressions.value(kind, scope, depth),
    );
  }

  /** A kind that the sources have a column of, mostly. */
  kind(scope: Scope): Kind {
    return this.expressions.kind(scope);
  }

  #distinct(
    from: FromClause,
    scope: Scope,
    depth: number,
    wanted: readonly Kind[] | null,
    top: boolean,
  ): Core {
    const list = this.#list(scope, depth, wanted, true);
    const where = this.#where(scope, depth);
    return {
      ...this.#named(list, top),
      sql: `SELECT DISTINCT ${this.#items(list, top)} FROM ${from.sql}${where}`,
      hidden: null,
      free: null,
    };
  }

  /** As a sub-select with its own order, so that it can stand anywhere. */
  #distinctOn(
    from: FromClause,
    scope: Scope,
    depth: number,
    wanted: readonly Kind[] | null,
    top: boolean,
  ): Core {
    const unique = uniqueOf(from.sources);
    if (unique === null) return this.#distinct(from, scope, depth, wanted, top);
    const keys = this.#list(scope, 0, null, true).slice(0, 2);
    const list = this.#list(scope, depth, wanted, false);
    const where = this.#where(scope, depth);
    const on = keys.map(({ sql }) => sql).join(', ');
    const order = [...keys.map(({ sql }) => `${sql}${this.direction()}`), ...unique].join(', ');
    const inner =
      `SELECT DISTINCT ON (${on}) ${this.#items(list, false)} ` +
      `FROM ${from.sql}${where} ORDER BY ${order}`;
    const alias = this.sources.alias();
    const outer = list.map(({ kind, exact }, i) => ({ sql: `${alias}.c${i}`, kind, exact }));
    return {
      ...this.#named(outer, top),
      sql: `SELECT ${this.#items(outer, top)} FROM (${inner}) ${alias}`,
      hidden: null,
      free: null,
    };
  }

  #totals(from: FromClause, scope: Scope, depth: number, top: boolean): Core {
    const count = this.#dice.between(1, 4);
    const list = Array.from({ length: count }, () => this.#aggregates.call(scope));
    const having = this.#dice.chance(0.1) ? ` HAVING count(*) > ${this.#dice.below(9)}` : '';
    return {
      ...this.#named(list, top),
      sql: `SELECT ${this.#items(list, top)} FROM ${from.sql}${this.#where(scope, depth)}${having}`,
      hidden: null,
      free: null,
    };
  }

  #grouped(
    from: FromClause,
    scope: Scope,
    depth: number,
    wanted: readonly Kind[] | null,
    top: boolean,
  ): Core {
    const dice = this.#dice;
    const keys = wanted === null ? this.#list(scope, 1, null, true).slice(0, 3) : [];
    if (wanted !== null) keys.push(...this.#list(scope, 0, wanted, true));
    const texts = keys.map(({ sql }) => sql);
    const sets = wanted === null && dice.chance(0.2);
    const groupBy = sets ? this.#groupingSets(texts) : texts.join(', ');
    const calls: Expression[] = [];
    if (wanted === null) {
      for (let i = dice.between(0, 3); i > 0; i--) calls.push(this.#aggregates.call(scope));
      if (sets && dice.chance(0.5)) {
        calls.push({ sql: `grouping(${texts.join(', ')})`, kind: 'int', exact: true });
      }
      if (dice.chance(0.12)) calls.push(this.#windowOverGroups(scope, keys));
    }
    const list = dice.chance(0.15) && calls.length > 0 ? calls : [...keys, ...calls];
    const having = dice.chance(0.25) ? ` HAVING ${this.#having(scope, keys)}` : '';
    const where = this.#where(scope, depth);
    return {
      ...this.#named(list, top),
      sql: `SELECT ${this.#items(list, top)} FROM ${from.sql}${where} GROUP BY ${groupBy}${having}`,
      hidden: sets ? null : texts,
      free: null,
    };
  }

  #groupingSets(keys: readonly string[]): string {
    const all = keys.join(', ');
    return this.#dice.pick([
      () => `ROLLUP (${all})`,
      () => `CUBE (${all})`,
      () => `GROUPING SETS ((${all}), (${keys[0]!}), ())`,
      () => `GROUPING SETS (${keys.map((key) => `(${key})`).join(', ')})`,
    ])();
  }

  #windowOverGroups(scope: Scope, keys: readonly Expression[]): Expression {
    const key = this.#dice.pick(keys);
    return this.#dice.pick<() => Expression>([
      () => ({ sql: 'rank() OVER (ORDER BY count(*) DESC)', kind: 'big', exact: true }),
      () => ({ sql: 'sum(count(*)) OVER ()', kind: 'num', exact: true }),
      () => ({
        sql: `max(count(*)) OVER (PARTITION BY ${key.sql})`,
        kind: 'big',
        exact: true,
      }),
      () => {
        const value = this.expressions.value('int', scope, 0).sql;
        return { sql: `sum(sum(${value})) OVER (ORDER BY ${key.sql})`, kind: 'num', exact: true };
      },
    ])();
  }

  #having(scope: Scope, keys: readonly Expression[]): string {
    const value = this.expressions.value('int', scope, 0).sql;
    return this.#dice.pick([
      () => `count(*) > ${this.#dice.between(0, 3)}`,
      () => `sum(${value}) >= ${this.#values.typed('int')}`,
      () => `max(${value}) IS NOT NULL OR count(*) = 1`,
      () => `${keys[0]?.sql ?? 'count(*)'} IS NOT NULL`,
      () => `count(DISTINCT ${value}) < 3 AND min(${value}) < 5`,
    ])();
  }

  #setOperation(
    depth: number,
    outer: readonly Source[],
    wanted: readonly Kind[] | null,
    top: boolean,
  ): Core {
    const dice = this.#dice;
    const count = dice.between(1, 3);
    const list = wanted ?? Array.from({ length: count }, () => dice.pick(kinds));
    const arm = (): Core => {
      const core =
        depth > 1 && dice.chance(0.25)
          ? this.#setOperation(depth - 1, outer, list, false)
          : this.#arm(depth - 1, outer, list);
      const simple = !core.sql.startsWith('(') && dice.chance(0.6);
      return simple && !/ (UNION|INTERSECT|EXCEPT) /.test(core.sql)
        ? core
        : { ...core, sql: `(${core.sql})` };
    };
    const left = arm();
    const right = arm();
    const operation = dice.pick([
      ...['UNION', 'UNION ALL', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'],
    ]);
    return {
      list: left.list.map(({ sql, kind }) => ({ sql, kind, exact: true })),
      names: top ? left.names.map((_, i) => `c${i}`) : left.names,
      sql: `${left.sql} ${operation} ${right.sql}`,
      hidden: null,
      free: null,
    };
  }

  /** One side of a set operation: its values must have one look each. */
  #arm(depth: number, outer: readonly Source[], wanted: readonly Kind[]): Core {
    const from = this.sources.from(depth, outer, 2);
    const scope: Scope = { own: from.sources, outer };
    if (this.#dice.chance(0.2)) return this.#grouped(from, scope, depth, wanted, false);
    const list = this.#list(scope, depth, wanted, true);
    return {
      ...this.#named(list, false),
      sql: `SELECT ${this.#items(list, false)} FROM ${from.sql}${this.#where(scope, depth)}`,
      hidden: null,
      free: null,
    };
  }

  #where(scope: Scope, depth: number): string {
    if (this.#dice.chance(0.25)) return '';
    return ` WHERE ${this.expressions.conditions(scope, depth, 2)}`;
  }

  #unnamed = new Set<number>();

  #items(list: readonly Expression[], top: boolean): string {
    return list
      .map(({ sql }, i) => (top && this.#unnamed.has(i) ? sql : `${sql} AS ${nameOf(i, top)}`))
      .join(', ');
  }

  #named(list: readonly Expression[], top: boolean): Pick<Core, 'list' | 'names'> {
    // Drawn before the text is made, since object literals are evaluated from top to bottom.
    if (top) this.#unnamed = new Set([...list.keys()].filter(() => this.#dice.chance(0.4)));
    const names = list.map((_, i) => (top && this.#unnamed.has(i) ? null : nameOf(i, top)));
    return { list, names };
  }

  /** What may stand behind a sort key. */
  direction(): string {
    return this.#dice.pick(orderDirections);
  }
}

/** Other names than those of sub-selects, which a result may show without AS. */
function nameOf(column: number, top: boolean): string {
  return `${top ? 'r' : 'c'}${column}`;
}

/** Sub-selects see the columns of the query and of those around it. */
function around({ own, outer }: Scope): readonly Source[] {
  return [...own, ...outer];
}

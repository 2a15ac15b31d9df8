import type { Dice } from './chaos-random.js';
import type { Expressions } from './select-expressions.js';
import type { Expression, Scope, Source, Values } from './select-scope.js';
import type { FromClause, Query } from './select-sources.js';

/** What a SELECT made here adds to its list and behind WHERE. */
export interface RareSelect {
  readonly list: readonly Expression[];
  /** GROUP BY and the like, with a blank in front; '': nothing. */
  readonly tail: string;
}

/** Forms that people seldom write, and planners seldom meet. */
export class Rarities {
  readonly #dice: Dice;
  readonly #values: Values;
  readonly #expressions: Expressions;
  readonly #query: (depth: number, outer: readonly Source[]) => Query;

  constructor(
    dice: Dice,
    values: Values,
    expressions: Expressions,
    query: (depth: number, outer: readonly Source[]) => Query,
  ) {
    this.#dice = dice;
    this.#values = values;
    this.#expressions = expressions;
    this.#query = query;
  }

  /** Functions that give sets among the columns; each row of FROM gives as many rows as the longest. */
  setsInList(scope: Scope): RareSelect {
    const dice = this.#dice;
    const array = this.#expressions.value('arr', scope, 0).sql;
    const tags = this.#expressions.value('tags', scope, 0).sql;
    const int = this.#expressions.value('int', scope, 0).sql;
    const sets: readonly Expression[] = [
      { sql: `unnest(${array})`, kind: 'int', exact: true },
      { sql: `unnest(${tags})`, kind: 'txt', exact: true },
      { sql: `generate_series(1, ${int})`, kind: 'int', exact: true },
      { sql: `generate_subscripts(${array}, 1)`, kind: 'int', exact: true },
    ];
    const plain = this.#expressions.exactValue(this.#expressions.kind(scope), scope, 0);
    const list = dice.chance(0.3) ? [plain, dice.pick(sets), dice.pick(sets)] : [dice.pick(sets)];
    return { list: dice.chance(0.7) ? [plain, ...list.slice(-1)] : list, tail: '' };
  }

  /** Groups of a table's primary key, on which its other columns depend; null: no table has one. */
  groupedByKey({ sources }: FromClause): RareSelect | null {
    const keyed = sources.filter(({ primaryKey }) => primaryKey === true);
    if (keyed.length === 0) return null;
    const { columns, unique } = this.#dice.pick(keyed);
    const chosen = columns.filter(() => this.#dice.chance(0.3)).slice(0, 4);
    const count = { sql: 'count(*)', kind: 'big', exact: true } as const;
    return { list: [...chosen, count], tail: ` GROUP BY ${unique!.join(', ')}` };
  }

  /** A whole row, looked at as one value. */
  wholeRow(scope: Scope): Expression | null {
    const aliases = scope.own.flatMap(
      ({ columns }) => /^t\d+(?=\.)/.exec(columns[0]!.sql)?.[0] ?? [],
    );
    if (aliases.length === 0) return null;
    const alias = this.#dice.pick(aliases);
    return this.#dice.pick<() => Expression>([
      () => ({ sql: `(${alias} IS NULL)`, kind: 'bool', exact: true }),
      () => ({ sql: `(${alias} IS NOT NULL)`, kind: 'bool', exact: true }),
      () => ({ sql: `(${alias}.* IS DISTINCT FROM NULL)`, kind: 'bool', exact: true }),
      () => ({ sql: `(to_jsonb(${alias}) IS NULL)`, kind: 'bool', exact: true }),
      () => ({ sql: `${alias}::text`, kind: 'txt', exact: true }),
      () => ({ sql: `length(${alias}::text)`, kind: 'int', exact: true }),
      () => ({ sql: `row_to_json(${alias})::text`, kind: 'txt', exact: true }),
      () => ({ sql: `(${alias} = ${alias})`, kind: 'bool', exact: true }),
    ])();
  }

  /** Rows that are compared as such, with lists and with queries. */
  rowCondition(scope: Scope, depth: number): string {
    const dice = this.#dice;
    const pair = ['int', 'txt'] as const;
    const left = pair.map((kind) => this.#expressions.value(kind, scope, 0).sql).join(', ');
    const row = (): string => pair.map((kind) => this.#values.typed(kind)).join(', ');
    const inner = (): string | null => {
      const { sql, columns } = this.#query(depth, [...scope.own, ...scope.outer]);
      const of = (kind: string): string | undefined => columns.find((c) => c.kind === kind)?.name;
      const [int, text] = [of('int'), of('txt')];
      if (int === undefined || text === undefined) return null;
      return `SELECT x.${int}, x.${text} FROM (${sql}) x`;
    };
    const query = inner();
    if (query !== null) {
      const not = dice.chance(0.4) ? 'NOT ' : '';
      return `(${left}) ${not}IN (${query})`;
    }
    return dice.pick([
      () => `(${left}) ${dice.pick(['=', '<>', '<', '>='])} (${row()})`,
      () => `(${left}) IN ((${row()}), (${row()}))`,
      () => `(${left}) NOT IN ((${row()}), (${row()}))`,
      () => `ROW(${left}) IS DISTINCT FROM ROW(${row()})`,
      () => `(${left}) IS NULL`,
      () => `(${left}) IS NOT NULL`,
    ])();
  }

  /** A window frame over an order by one number, which tells how far rows are apart. */
  frame(scope: Scope): string {
    const dice = this.#dice;
    const order = this.#expressions.value('int', scope, 0).sql;
    const direction = dice.pick(['', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST']);
    const start = dice.pick(['1 PRECEDING', 'CURRENT ROW', 'UNBOUNDED PRECEDING', '3 PRECEDING']);
    const end = dice.pick(['1 FOLLOWING', 'CURRENT ROW', 'UNBOUNDED FOLLOWING']);
    const mode = dice.pick(['RANGE', 'RANGE', 'GROUPS']);
    const exclude = dice.pick(['', '', ' EXCLUDE GROUP', ' EXCLUDE NO OTHERS']);
    return `ORDER BY ${order}${direction} ${mode} BETWEEN ${start} AND ${end}${exclude}`;
  }
}

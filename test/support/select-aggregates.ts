import type { Dice } from './chaos-random.js';
import type { Expressions } from './select-expressions.js';
import type { Rarities } from './select-rarities.js';
import type { Kind } from './select-schema.js';
import { kinds, type Expression, type Scope, type Source } from './select-scope.js';

/** Kinds that min and max take. */
const comparable: readonly Kind[] = [
  ...(['int', 'big', 'num', 'flt', 'txt', 'ctx', 'date', 'ts', 'tz', 'byt', 'arr'] as const),
  'enm',
];

/** Random aggregate and window calls that have one result whatever the order of their rows. */
export class Aggregates {
  readonly #dice: Dice;
  readonly #expressions: Expressions;
  readonly #rarities: Rarities;

  constructor(dice: Dice, expressions: Expressions, rarities: Rarities) {
    this.#dice = dice;
    this.#expressions = expressions;
    this.#rarities = rarities;
  }

  call({ own }: Scope): Expression {
    // With outer columns alone in its arguments, an aggregate would belong to the outer query.
    const scope: Scope = { own, outer: [] };
    const { sql, kind, exact } = this.#bare(scope);
    const filter = this.#dice.chance(0.15)
      ? ` FILTER (WHERE ${this.#expressions.condition(scope, 0)})`
      : '';
    return sql.startsWith('avg') && kind === 'flt'
      ? decimal(`${sql}${filter}`)
      : { sql: `${sql}${filter}`, kind, exact };
  }

  #bare(scope: Scope): Expression {
    const dice = this.#dice;
    const of = (kind: Kind): string => this.#expressions.value(kind, scope, 1).sql;
    const exactOf = (kind: Kind): string => this.#expressions.exactValue(kind, scope, 1).sql;
    const made = (kind: Kind, sql: string, exact = true): Expression => ({ sql, kind, exact });
    const distinct = dice.chance(0.2) ? 'DISTINCT ' : '';
    const any = this.#expressions.kind(scope);
    const best = dice.pick(comparable);
    // The sum of 1.0 and 2.00 has two decimals; of distinct ones, whichever of 1.0 and 1.00 is left.
    const summed = (kind: Kind): string => (distinct === '' ? of(kind) : exactOf(kind));
    return dice.pick([
      () => made('big', 'count(*)'),
      () => made('big', 'count(*)'),
      () => made('big', `count(${distinct}${of(any)})`),
      () => made('big', `sum(${distinct}${of('int')})`),
      () => made('num', `sum(${distinct}${summed('num')})`, false),
      () => made('num', `sum(${distinct}${of('big')})`, false),
      () => made('flt', `sum(${distinct}${summed('flt')})`, false),
      () => made('itv', `sum(${distinct}${summed('itv')})`, false),
      () => made('num', `avg(${distinct}${of('int')})`, false),
      () => made('num', `avg(${distinct}${summed('num')})`, false),
      () => made('flt', `avg(${distinct}${summed('flt')})`, false),
      () => made('itv', `avg(${distinct}${summed('itv')})`, false),
      () => made(best, `min(${distinct}${exactOf(best)})`),
      () => made(best, `max(${distinct}${exactOf(best)})`),
      () => made('bool', `bool_and(${of('bool')})`),
      () => made('bool', `every(${of('bool')})`),
      () => made('bool', `bool_or(${of('bool')})`),
      () => made('int', `${dice.pick(['bit_and', 'bit_or', 'bit_xor'])}(${of('int')})`),
      () => this.#ordered('string_agg', "', '", 'txt', 'txt', scope),
      () => this.#ordered('array_agg', null, 'int', 'arr', scope),
      () => this.#ordered('array_agg', null, 'txt', 'tags', scope),
      () => this.#ordered('jsonb_agg', null, 'int', 'jsn', scope),
      () => made('num', `${dice.pick(['variance', 'stddev', 'var_pop'])}(${of('int')})`, false),
      () => made('num', `percentile_disc(0.5) WITHIN GROUP (ORDER BY ${exactOf('num')})`, false),
      () => made('flt', `percentile_cont(0.25) WITHIN GROUP (ORDER BY ${of('int')})`, false),
      () => made('big', `regr_count(${of('int')}, ${of('flt')})`),
    ])();
  }

  #ordered(name: string, more: string | null, kind: Kind, result: Kind, scope: Scope): Expression {
    const value = this.#expressions.exactValue(kind, scope, 1).sql;
    const distinct = this.#dice.chance(0.2) ? 'DISTINCT ' : '';
    const direction = this.#dice.pick(['', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST']);
    const args = more === null ? value : `${value}, ${more}`;
    // With DISTINCT the arguments must be those that it sorts by.
    return {
      sql: `${name}(${distinct}${args} ORDER BY ${value}${direction})`,
      kind: result,
      exact: true,
    };
  }

  /** A window call over plain rows. */
  window(scope: Scope): Expression {
    const dice = this.#dice;
    const unique = uniqueOf(scope.own);
    const partition = dice.chance(0.6) ? this.#keys(scope, 2).join(', ') : '';
    const order = this.#keys(scope, 2).map((key) => `${key}${this.#direction()}`);
    const partitionBy = partition === '' ? '' : `PARTITION BY ${partition} `;
    const total = unique === null ? null : [...order, ...unique].join(', ');
    if (total !== null && dice.chance(0.5)) {
      return this.#positional(scope, `${partitionBy}ORDER BY ${total}`);
    }
    if (dice.chance(0.2)) {
      const call = this.#windowAggregate(scope);
      return { ...call, sql: `${call.sql} OVER (${partitionBy}${this.#rarities.frame(scope)})` };
    }
    const orderBy = dice.chance(0.7) ? `ORDER BY ${order.join(', ')}` : '';
    const over = `OVER (${partitionBy}${orderBy})`;
    if (orderBy !== '' && dice.chance(0.5)) {
      const name = dice.pick(['rank', 'dense_rank']);
      return { sql: `${name}() ${over}`, kind: 'big', exact: true };
    }
    if (orderBy !== '' && dice.chance(0.3)) {
      const name = dice.pick(['percent_rank', 'cume_dist']);
      return decimal(`${name}() ${over}`);
    }
    const frame =
      orderBy === ''
        ? ''
        : dice.pick([
            '',
            '',
            ' RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING',
            ' GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING',
            ' GROUPS 2 PRECEDING EXCLUDE GROUP',
          ]);
    const call = this.#windowAggregate(scope);
    return { ...call, sql: `${call.sql} OVER (${partitionBy}${orderBy}${frame})` };
  }

  #positional(scope: Scope, over: string): Expression {
    const dice = this.#dice;
    const kind = this.#expressions.kind(scope);
    const value = this.#expressions.value(kind, scope, 0);
    const same = (sql: string): Expression => ({ ...value, sql });
    return dice.pick([
      () => ({ sql: `row_number() OVER (${over})`, kind: 'big', exact: true }) as const,
      () => ({ sql: `ntile(3) OVER (${over})`, kind: 'int', exact: true }) as const,
      () => same(`lag(${value.sql}) OVER (${over})`),
      () => same(`lead(${value.sql}, 2) OVER (${over})`),
      () => same(`first_value(${value.sql}) OVER (${over})`),
      () => same(`nth_value(${value.sql}, 2) OVER (${over})`),
      () => {
        const call = this.#windowAggregate(scope);
        const frame = 'ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING';
        return { ...call, sql: `${call.sql} OVER (${over} ${frame})` };
      },
    ])();
  }

  #windowAggregate(scope: Scope): Expression {
    const of = (kind: Kind): string => this.#expressions.value(kind, scope, 0).sql;
    const exactOf = (kind: Kind): string => this.#expressions.exactValue(kind, scope, 0).sql;
    const best = this.#dice.pick(comparable);
    return this.#dice.pick([
      () => ({ sql: 'count(*)', kind: 'big', exact: true }) as const,
      () => ({ sql: `sum(${of('int')})`, kind: 'big', exact: true }) as const,
      () => ({ sql: `avg(${of('int')})`, kind: 'num', exact: false }) as const,
      () => ({ sql: `sum(${exactOf('num')})`, kind: 'num', exact: false }) as const,
      () => ({ sql: `max(${exactOf(best)})`, kind: best, exact: true }) as const,
      () => ({ sql: `min(${exactOf(best)})`, kind: best, exact: true }) as const,
    ])();
  }

  #keys(scope: Scope, most: number): string[] {
    return Array.from({ length: this.#dice.between(1, most) }, () => {
      const column = this.#expressions.anyColumn(scope);
      const kind = column?.kind ?? this.#dice.pick(kinds);
      return this.#expressions.exactValue(kind, scope, 0).sql;
    });
  }

  #direction(): string {
    return this.#dice.pick(['', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST']);
  }
}

/** Fractions as binary floats do not add up to one sum in every order; as decimal numbers they do. */
function decimal(sql: string): Expression {
  return { sql: `(${sql})::numeric`, kind: 'num', exact: false };
}

/** Columns that tell the rows of a join apart; null: none do. */
export function uniqueOf(sources: readonly Source[]): readonly string[] | null {
  const all: string[] = [];
  for (const { unique } of sources) {
    if (unique === null) return null;
    all.push(...unique);
  }
  return all.length === 0 ? null : all;
}

import type { Dice } from './chaos-random.js';
import { Cores, type Core } from './select-cores.js';
import { Values } from './select-scope.js';
import type { SelectParameter } from './select-session.js';

/** A statement, and what its answer promises beyond which rows it has. */
export interface RandomSelect {
  readonly sql: string;
  readonly params: readonly SelectParameter[];
  /**
   * Columns in whose values the order of rows shows; `all`: rows have one order; none: any order is
   * right.
   */
  readonly order: 'all' | readonly number[];
  /**
   * Where LIMIT may cut among equals: the same without it. What came must be among these rows.
   */
  readonly uncut: string | null;
}

/** Writes random SELECTs over the tables of select-schema.ts; each has one right answer. */
export class SelectGrammar {
  readonly #dice: Dice;
  readonly #values: Values;
  readonly #cores: Cores;

  private constructor(dice: Dice) {
    this.#dice = dice;
    this.#values = new Values(dice, dice.chance(0.35) ? 0.4 : 0);
    this.#cores = new Cores(dice, this.#values);
  }

  /** The next statement of these dice. */
  static next(dice: Dice): RandomSelect {
    return new SelectGrammar(dice).#statement();
  }

  #statement(): RandomSelect {
    const head = this.#with();
    const core = this.#cores.core(2, [], null, true);
    const orderBy = this.#orderBy(core);
    const { items, total } = orderBy;
    const by = items.map(({ sql }) => sql).join(', ');
    const order = total ? 'all' : keyColumns(items);
    const plain = `${head}${core.sql}${items.length === 0 ? '' : ` ORDER BY ${by}`}`;
    const limit = this.#limit(orderBy);
    const { sql, params, renumbered } = this.#values.finish(`${plain}${limit?.sql ?? ''}`);
    const uncut = limit === null || limit.exact ? null : renumbered(plain);
    return { sql, params, order, uncut };
  }

  #with(): string {
    const dice = this.#dice;
    if (!dice.chance(0.18)) return '';
    const parts: string[] = [];
    let recursive = false;
    for (let count = dice.between(1, 2); count > 0; count--) {
      const name = `w${parts.length}`;
      if (dice.chance(0.25)) {
        recursive = true;
        parts.push(`${name} (c0, c1) AS (${this.#recursion(name)})`);
        this.#cores.sources.withQueries.push({
          name,
          columns: [
            { name: 'c0', kind: 'big', exact: true },
            { name: 'c1', kind: 'big', exact: true },
          ],
        });
        continue;
      }
      const { sql, columns } = this.#cores.query(1, []);
      const materialized = dice.pick(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED ']);
      parts.push(`${name} AS ${materialized}(${sql})`);
      this.#cores.sources.withQueries.push({ name, columns });
    }
    return `WITH ${recursive ? 'RECURSIVE ' : ''}${parts.join(', ')} `;
  }

  /** A walk along a table that refers to itself. */
  #recursion(name: string): string {
    const [table, id, parent] = this.#dice.pick([
      ['users', 'id', 'boss'],
      ['regions', 'id', 'parent'],
    ] as const);
    const all = this.#dice.pick(['', ' ALL']);
    const start = this.#dice.pick([`r.${parent} IS NULL`, `r.${id} IN (1, 2, 3)`]);
    const step = this.#dice.pick([
      `r.${parent} = w.c0`, // downwards
      `r.${id} = w.c1`, // upwards
    ]);
    return (
      `SELECT r.${id}::int8, r.${parent}::int8 FROM ${table} r WHERE ${start} ` +
      `UNION${all} SELECT r.${id}, r.${parent} FROM ${table} r JOIN ${name} w ON ${step}`
    );
  }

  #orderBy(core: Core): OrderBy {
    const dice = this.#dice;
    if (dice.chance(0.4)) return { items: [], total: false };
    const items: OrderItem[] = [];
    const item = (sql: string, column: number | null, exact: boolean): void => {
      items.push({ sql: `${sql}${this.#cores.direction()}`, column, exact });
    };
    const columns = [...core.list.keys()].filter(() => dice.chance(0.6));
    for (const column of columns) {
      const name = core.names[column];
      const byName = name !== null && name !== undefined && dice.chance(0.4);
      item(byName ? name : String(column + 1), column, core.list[column]!.exact);
    }
    if (core.free !== null && dice.chance(0.3)) {
      const value = this.#cores.expressions.value(this.#cores.kind(core.free), core.free, 1);
      const sql = `(${value.sql})${this.#cores.direction()}`;
      items.splice(dice.below(items.length + 1), 0, { sql, column: null, exact: false });
    }
    if (dice.chance(0.5)) {
      for (const [column, { exact }] of core.list.entries()) {
        if (!columns.includes(column)) item(String(column + 1), column, exact);
      }
    }
    if (core.hidden !== null && dice.chance(0.6)) {
      for (const sql of core.hidden) item(sql, null, true);
      return { items, total: true };
    }
    const total = core.list.every(({ exact }, i) => {
      return exact && items.some(({ column }) => column === i);
    });
    return { items, total: total && items.length > 0 };
  }

  /** `exact`: it cannot cut among rows that differ. */
  #limit({ items, total }: OrderBy): { readonly sql: string; readonly exact: boolean } | null {
    const dice = this.#dice;
    if (!dice.chance(items.length === 0 ? 0.06 : 0.5)) return null;
    const count = (): string => {
      if (dice.chance(0.9)) return this.#values.count(15);
      return dice.pick(['(2 + 3)', '(SELECT count(*) FROM regions)', '(NULL)', '(4.5)', "('3')"]);
    };
    if (items.length > 0 && dice.chance(0.15)) {
      return { sql: ` FETCH FIRST ${count()} ROWS WITH TIES`, exact: true };
    }
    const offset = dice.chance(0.3) ? ` OFFSET ${count()}` : '';
    const sql = dice.pick([
      () => ` LIMIT ${count()}${offset}`,
      () => ` LIMIT ${count()}${offset}`,
      () => `${offset} LIMIT ${count()}`,
      () => `${offset === '' ? '' : `${offset} ROWS`} FETCH FIRST ${count()} ROWS ONLY`,
      () => ` LIMIT ALL${offset}`,
      () => offset,
    ])();
    return { sql, exact: total };
  }
}

interface OrderBy {
  readonly items: readonly OrderItem[];
  /** Rows that are equal in all of them look the same. */
  readonly total: boolean;
}

interface OrderItem {
  readonly sql: string;
  /** The column it is, 0-based; null: none. */
  readonly column: number | null;
  readonly exact: boolean;
}

/** The first sort keys, as long as they are columns that show what was sorted. */
function keyColumns(items: readonly OrderItem[]): number[] {
  const columns: number[] = [];
  for (const { column, exact } of items) {
    if (column === null || !exact) break;
    columns.push(column);
  }
  return columns;
}

import type { Dice } from './chaos-random.js';
import type { Expressions } from './select-expressions.js';
import type { SchemaTable } from './select-schema.js';
import { wideTables } from './select-wide-schema.js';
import type { Expression, OutputColumn, Scope, Source, Values } from './select-scope.js';

/** A FROM clause without its keyword, and what it offers. */
export interface FromClause {
  readonly sql: string;
  readonly sources: readonly Source[];
}

/** A sub-select with named columns. */
export interface Query {
  readonly sql: string;
  readonly columns: readonly OutputColumn[];
}

/** Products of tables larger than this take the oracle too long. */
const PRODUCT_MAX = 4000;

/** Random FROM clauses: tables, sub-selects, WITH queries, functions, joined in every way. */
export class Sources {
  readonly #dice: Dice;
  readonly #values: Values;
  readonly #expressions: Expressions;
  readonly #query: (depth: number, outer: readonly Source[]) => Query;
  #aliases = 0;
  /** WITH queries that may be named. */
  readonly withQueries: { readonly name: string; readonly columns: readonly OutputColumn[] }[] = [];

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

  alias(): string {
    return `t${this.#aliases++}`;
  }

  /** @param most how many items are joined */
  from(depth: number, outer: readonly Source[], most: number): FromClause {
    let from = this.#item(depth);
    for (let joins = this.#joins(most); joins > 0; joins--) {
      from = this.#joined(from, depth, outer, joins === 1);
    }
    return from;
  }

  #joins(most: number): number {
    const limit = Math.max(0, most - 1);
    return Math.min(limit, this.#dice.pick([0, 0, 0, 1, 1, 1, 2, 2, 3]));
  }

  /** @param last a comma binds less than joins: what is joined behind it cannot name what is before */
  #joined(left: FromClause, depth: number, outer: readonly Source[], last: boolean): FromClause {
    const dice = this.#dice;
    if (depth > 0 && dice.chance(0.1)) return this.#lateral(left, depth, outer);
    if (dice.chance(0.06)) return this.#unnested(left);
    const right = dice.chance(0.12) && depth > 0 ? this.#parenthesized(depth) : this.#item(depth);
    const sources = [...left.sources, ...right.sources];
    const rows = (list: readonly Source[]): number => list.reduce((all, s) => all * s.rows, 1);
    const small = rows(left.sources) * rows(right.sources) <= PRODUCT_MAX;
    if (small && dice.chance(0.1)) {
      return { sql: `${left.sql} CROSS JOIN ${right.sql}`, sources };
    }
    if (last && small && dice.chance(0.15)) return { sql: `${left.sql}, ${right.sql}`, sources };
    const kind = dice.pick([
      ...['JOIN', 'JOIN', 'INNER JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'],
      'LEFT OUTER JOIN',
    ]);
    const equal = this.#equality(left.sources, right.sources);
    if (equal === null)
      return small ? { sql: `${left.sql} CROSS JOIN ${right.sql}`, sources } : left;
    // Only plain equalities can be merged or hashed, as a full join must be.
    const more =
      kind !== 'FULL JOIN' && dice.chance(0.25)
        ? ` AND ${this.#expressions.condition({ own: sources, outer }, 0)}`
        : '';
    return { sql: `${left.sql} ${kind} ${right.sql} ON ${equal}${more}`, sources };
  }

  /** Two columns that are worth comparing; the tables' keys more often than others. */
  #equality(left: readonly Source[], right: readonly Source[]): string | null {
    const dice = this.#dice;
    const keys = (list: readonly Source[]): string[] =>
      list.flatMap(({ key, columns }) =>
        columns
          .filter((c) => c.sql === key && (c.kind === 'big' || c.kind === 'int'))
          .map((c) => c.sql),
      );
    const [leftKeys, rightKeys] = [keys(left), keys(right)];
    if (leftKeys.length > 0 && rightKeys.length > 0 && dice.chance(0.5)) {
      return `${dice.pick(leftKeys)} = ${dice.pick(rightKeys)}`;
    }
    const kindOf = ({ kind }: Expression): string => (kind === 'int' ? 'big' : kind);
    const all = (list: readonly Source[]): Expression[] => list.flatMap(({ columns }) => columns);
    const pairs = all(left).flatMap((a) =>
      all(right)
        .filter((b) => kindOf(a) === kindOf(b))
        .map((b) => ({ sql: `${a.sql} = ${b.sql}`, number: kindOf(a) === 'big' })),
    );
    if (pairs.length === 0) return null;
    const numbers = pairs.filter(({ number }) => number);
    return dice.pick(numbers.length > 0 && dice.chance(0.6) ? numbers : pairs).sql;
  }

  #parenthesized(depth: number): FromClause {
    const left = this.#item(depth - 1);
    const right = this.#item(depth - 1);
    const equal = this.#equality(left.sources, right.sources);
    if (equal === null) return left;
    const kind = this.#dice.pick(['JOIN', 'LEFT JOIN', 'FULL JOIN']);
    return {
      sql: `(${left.sql} ${kind} ${right.sql} ON ${equal})`,
      sources: [...left.sources, ...right.sources],
    };
  }

  #lateral(left: FromClause, depth: number, outer: readonly Source[]): FromClause {
    const inner = this.#query(depth - 1, [...left.sources, ...outer]);
    const alias = this.alias();
    const [join, on] = this.#dice.pick([
      ['CROSS JOIN', ''],
      ['LEFT JOIN', ' ON true'],
      ['JOIN', ' ON true'],
    ] as const);
    const source = sourceOf(alias, inner.columns);
    return {
      sql: `${left.sql} ${join} LATERAL (${inner.sql}) ${alias}${on}`,
      sources: [...left.sources, source],
    };
  }

  /** The elements of an array column, or of a JSON document, as rows. */
  #unnested(left: FromClause): FromClause {
    const scope: Scope = { own: left.sources, outer: [] };
    const json = this.#expressions.column('jsn', scope);
    if (json !== null && this.#dice.chance(0.5)) return this.#jsonTable(left, json.sql);
    const array = this.#expressions.column('tags', scope) ?? this.#expressions.column('arr', scope);
    if (array === null) return left;
    const alias = this.alias();
    const kind = array.kind === 'tags' ? 'txt' : 'int';
    const column = { sql: `${alias}.x`, kind, exact: true } as const;
    const ordinality = { sql: `${alias}.n`, kind: 'big', exact: true } as const;
    const unique = left.sources.every((source) => source.unique !== null) ? [`${alias}.n`] : null;
    return {
      sql: `${left.sql} CROSS JOIN LATERAL unnest(${array.sql}) WITH ORDINALITY ${alias} (x, n)`,
      sources: [...left.sources, { columns: [column, ordinality], unique, key: null, rows: 2 }],
    };
  }

  #jsonTable(left: FromClause, json: string): FromClause {
    const alias = this.alias();
    const columns = [
      { sql: `${alias}.n`, kind: 'int', exact: true },
      { sql: `${alias}.x`, kind: 'txt', exact: true },
    ] as const;
    const join = this.#dice.pick([
      ['CROSS JOIN', ''],
      ['LEFT JOIN', ' ON true'],
    ] as const);
    return {
      sql:
        `${left.sql} ${join[0]} JSON_TABLE(${json}, '$[*]' COLUMNS ` +
        `(n FOR ORDINALITY, x text PATH '$.a')) ${alias}${join[1]}`,
      sources: [...left.sources, { columns, unique: null, key: null, rows: 2 }],
    };
  }

  #item(depth: number): FromClause {
    const dice = this.#dice;
    const alias = this.alias();
    if (this.withQueries.length > 0 && dice.chance(0.45)) {
      const { name, columns } = dice.pick(this.withQueries);
      return { sql: `${name} ${alias}`, sources: [sourceOf(alias, columns)] };
    }
    if (depth > 0 && dice.chance(0.2)) {
      const inner = this.#query(depth - 1, []);
      const as = dice.chance(0.5) ? 'AS ' : '';
      return { sql: `(${inner.sql}) ${as}${alias}`, sources: [sourceOf(alias, inner.columns)] };
    }
    if (dice.chance(0.05)) return this.#rowless(alias);
    if (dice.chance(0.06)) return this.#merged();
    return this.#table(alias);
  }

  #table(alias: string): FromClause {
    const table = this.#dice.pick(wideTables);
    return { sql: `${table.name} ${alias}`, sources: [tableSource(alias, table)] };
  }

  /** A join that makes one column of two. */
  #merged(): FromClause {
    const dice = this.#dice;
    const kind = dice.pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN']);
    const natural = dice.chance(0.4);
    const merged = `k_${this.alias()}`;
    const sides = [0, 1].map(() => {
      const table = dice.pick(wideTables.filter(({ columns }) => /int|big/.test(columns[0]!.kind)));
      const source = tableSource(this.alias(), table);
      const alias = source.columns[0]!.sql.split('.')[0]!;
      if (!natural)
        return { sql: `${table.name} ${alias} (${merged})`, source: without(source, 0) };
      const own = table.columns.slice(1, 5).map(({ name, ...column }) => {
        return { name, renamed: `${alias}_${name}`, ...column };
      });
      const list = own.map(({ name, renamed }) => `, ${name} AS ${renamed}`).join('');
      const columns = own.map(({ renamed, kind, exact }) => {
        return { sql: `${alias}.${renamed}`, kind, exact };
      });
      return {
        sql: `(SELECT ${table.columns[0]!.name} AS ${merged}${list} FROM ${table.name}) ${alias}`,
        source: { columns, unique: null, key: null, rows: table.rows },
      };
    });
    const [left, right] = [sides[0]!, sides[1]!];
    const join = natural ? `NATURAL ${kind}` : kind;
    const using = natural ? '' : ` USING (${merged})`;
    const key: Source = {
      columns: [{ sql: merged, kind: 'big', exact: true }],
      unique: null,
      key: merged,
      rows: 1,
    };
    return {
      sql: `(${left.sql} ${join} ${right.sql}${using})`,
      sources: [key, left.source, right.source],
    };
  }

  /** Rows that no table holds. */
  #rowless(alias: string): FromClause {
    const dice = this.#dice;
    if (dice.chance(0.4)) {
      const column = { sql: `${alias}.x`, kind: 'int', exact: true } as const;
      const source = { columns: [column], unique: [`${alias}.x`], key: null, rows: 3 };
      return { sql: `generate_series(1, 3) ${alias} (x)`, sources: [source] };
    }
    const kind = dice.pick(['int', 'txt', 'num', 'date'] as const);
    const value = (): string => this.#values.typed(kind);
    const columns = [
      { sql: `${alias}.x`, kind: 'int', exact: true },
      { sql: `${alias}.y`, kind, exact: kind !== 'num' },
    ] as const;
    const source = { columns, unique: [`${alias}.x`], key: null, rows: 2 };
    return {
      sql: `(VALUES (1, ${value()}), (2, ${value()})) ${alias} (x, y)`,
      sources: [source],
    };
  }
}

function tableSource(alias: string, table: SchemaTable): Source {
  return {
    columns: table.columns.map(({ name, kind, exact }) => ({
      sql: `${alias}.${name}`,
      kind,
      exact,
    })),
    unique: table.unique.length === 0 ? null : table.unique.map((name) => `${alias}.${name}`),
    primaryKey: table.view !== true,
    key: table.key === null ? null : `${alias}.${table.key}`,
    rows: table.rows,
  };
}

/** Without a column that has got another name; nothing tells rows apart then. */
function without(source: Source, column: number): Source {
  const columns = source.columns.filter((_, i) => i !== column);
  return { columns, unique: null, key: null, rows: source.rows };
}

function sourceOf(alias: string, columns: readonly OutputColumn[]): Source {
  return {
    columns: columns.map(({ name, kind, exact }) => ({ sql: `${alias}.${name}`, kind, exact })),
    unique: null,
    key: null,
    rows: 40,
  };
}

/**
 * Uniform numbers in [0, 1) from a seed (mulberry32), so that a failing statement can be made
 * again.
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A table or sub-select as the generator sees it: which columns compare with which. */
export interface Shape {
  readonly ints: readonly string[];
  readonly texts: readonly string[];
  /** The shard key, which conditions should name more often than others. */
  readonly key: string;
}

interface Source extends Shape {
  readonly alias: string;
}

interface Named {
  readonly sql: string;
  readonly sources: readonly Source[];
}

const VALUE_MAX = 14;

/**
 * Writes random SELECTs over the given tables: joins of every kind, sub-selects in FROM, WHERE and
 * the select list, LATERAL, WITH, set operations, grouping, limits. They are made to be near the
 * edge of what can be routed: keys are compared with one another and with one favourite value again
 * and again. LIMIT comes with a total order, so that every statement has one right answer.
 */
export class RandomQueries {
  readonly #random: () => number;
  readonly #tables: readonly (readonly [name: string, shape: Shape])[];
  #aliases = 0;
  #favourite = 1;

  /** Tables that are named several times come up more often. */
  constructor(random: () => number, tables: readonly (readonly [string, Shape])[]) {
    this.#random = random;
    this.#tables = tables;
  }

  statement(): string {
    this.#aliases = 0;
    this.#favourite = 1 + this.#below(VALUE_MAX);
    const shared = this.#chance(0.2) ? this.#derived(1) : null;
    const head = shared === null ? '' : `with w as (${shared.sql}) `;
    const from = this.#from([], 2, shared);
    const where = this.#where(from.sources, [], 2);
    const key = this.#int(from.sources) ?? '1';
    const kind = this.#random();
    if (kind < 0.12) return `${head}select count(*), sum(${key}) from ${from.sql}${where}`;
    if (kind < 0.18) return `${head}select count(*) from ${from.sql}${where}`;
    if (kind < 0.26) {
      return `${head}select ${key}, count(*) from ${from.sql}${where} group by ${key} order by 1`;
    }
    const columns = from.sources.flatMap(({ alias, ints, texts }) =>
      [...ints.slice(0, 2), ...texts.slice(0, 1)].map((column) => `${alias}.${column}`),
    );
    if (this.#chance(0.12)) columns.push(`(${this.#scalar(from.sources)})`);
    return `${head}select ${columns.join(', ') || '1'} from ${from.sql}${where}`;
  }

  #scalar(outer: readonly Source[]): string {
    const [name, shape] = this.#table();
    const alias = this.#alias();
    return `select count(*) from ${name} ${alias}${this.#where([{ alias, ...shape }], outer, 0)}`;
  }

  #from(outer: readonly Source[], depth: number, shared: (Shape & { sql: string }) | null): Named {
    let { sql, sources } = this.#item(depth, shared);
    for (let more = this.#below(3); more > 0; more--) {
      const next = this.#joined(sql, sources, outer, depth, shared);
      ({ sql, sources } = next);
    }
    return { sql, sources };
  }

  #joined(
    sql: string,
    sources: readonly Source[],
    outer: readonly Source[],
    depth: number,
    shared: (Shape & { sql: string }) | null,
  ): Named {
    if (depth > 0 && this.#chance(0.15)) {
      const alias = this.#alias();
      const kind = this.#pick(['cross join lateral', 'left join lateral']);
      const on = kind.startsWith('left') ? ' on true' : '';
      const inner = this.#single([...sources, ...outer], depth - 1);
      const source = { alias, ints: ['v'], texts: [], key: 'v' };
      return { sql: `${sql} ${kind} (${inner}) ${alias} (v)${on}`, sources: [...sources, source] };
    }
    const kind = this.#pick(['join', 'join', 'cross join', 'left join', 'right join', 'full join']);
    const right = this.#chance(0.2) ? this.#nested(depth) : this.#item(depth, shared);
    const all = [...sources, ...right.sources];
    // A full join needs a condition that can be merged or hashed.
    const equal = `${this.#int(right.sources) ?? '1'} = ${this.#int(sources) ?? '1'}`;
    const on =
      kind === 'cross join'
        ? ''
        : ` on ${kind === 'full join' ? equal : this.#conditions(all, [], this.#chance(0.2) ? depth - 1 : 0, 2)}`;
    return { sql: `${sql} ${kind} ${right.sql}${on}`, sources: all };
  }

  /** Two items joined in parentheses. */
  #nested(depth: number): Named {
    const left = this.#item(depth, null);
    const right = this.#item(depth, null);
    const sources = [...left.sources, ...right.sources];
    const kind = this.#pick(['join', 'left join', 'right join']);
    return {
      sql: `(${left.sql} ${kind} ${right.sql} on ${this.#conditions(sources, [], 0, 2)})`,
      sources,
    };
  }

  #item(depth: number, shared: (Shape & { sql: string }) | null): Named {
    const alias = this.#alias();
    if (shared !== null && this.#chance(0.4)) {
      return { sql: `w ${alias}`, sources: [{ ...shared, alias }] };
    }
    if (depth > 0 && this.#chance(0.2)) {
      const inner = this.#derived(depth - 1);
      return { sql: `(${inner.sql}) ${alias}`, sources: [{ ...inner, alias }] };
    }
    const [name, shape] = this.#table();
    return { sql: `${name} ${alias}`, sources: [{ ...shape, alias }] };
  }

  /** A sub-select with columns that can be compared. */
  #derived(depth: number): Shape & { sql: string } {
    const [name, shape] = this.#table();
    const alias = this.#alias();
    const { ints, texts, key } = shape;
    const from = `from ${name} ${alias}${this.#where([{ ...shape, alias }], [], depth)}`;
    const columns = [...ints, ...texts].map((column) => `${alias}.${column}`).join(', ');
    const keyed = ints.includes(key);
    const kind = this.#random();
    if (keyed && kind < 0.15) {
      const sql = `select ${alias}.${key}, count(*) as n ${from} group by ${alias}.${key}`;
      return { sql, ints: [key, 'n'], texts: [], key };
    }
    if (keyed && kind < 0.25) {
      return { sql: `select distinct ${alias}.${key} ${from}`, ints: [key], texts: [], key };
    }
    if (kind < 0.35) {
      const sql = `select ${columns}, row_number() over (order by ${columns}) as n ${from}`;
      return { sql, ints: [...ints, 'n'], texts, key };
    }
    if (kind < 0.45)
      return { sql: `select ${columns} ${from} order by ${columns} limit 3`, ...shape };
    if (keyed && kind < 0.6) {
      const arm = `select ${alias}.${key}::int8 as ${key} ${from}`;
      const operation = this.#pick(['union all', 'union', 'except', 'intersect']);
      const [otherName, other] = this.#keyedTable();
      const otherArm = `select x.${other.key}::int8 from ${otherName} x${this.#where([{ ...other, alias: 'x' }], [], 0)}`;
      return { sql: `${arm} ${operation} ${otherArm}`, ints: [key], texts: [], key };
    }
    return { sql: `select ${this.#chance(0.5) ? `${alias}.*` : columns} ${from}`, ...shape };
  }

  /** A sub-select of one column. */
  #single(outer: readonly Source[], depth: number): string {
    const from = this.#from(outer, depth, null);
    const where = this.#where(from.sources, outer, depth);
    const column = this.#int(from.sources) ?? '1';
    const kind = this.#random();
    if (kind < 0.2) return `select sum(${column}) from ${from.sql}${where}`;
    if (kind < 0.35) return `select ${column} from ${from.sql}${where} order by 1 limit 2`;
    return `select ${column} from ${from.sql}${where}`;
  }

  #where(sources: readonly Source[], outer: readonly Source[], depth: number): string {
    return this.#chance(0.1) ? '' : ` where ${this.#conditions(sources, outer, depth, 3)}`;
  }

  #conditions(
    sources: readonly Source[],
    outer: readonly Source[],
    depth: number,
    countMax: number,
  ): string {
    const count = 1 + this.#below(countMax);
    return Array.from({ length: count }, () => this.#condition(sources, outer, depth)).join(
      ' and ',
    );
  }

  #condition(sources: readonly Source[], outer: readonly Source[], depth: number): string {
    const all = this.#chance(0.6) ? [...sources, ...outer] : sources;
    const a = this.#int(all) ?? '1';
    const b = this.#int(all) ?? '1';
    const kind = this.#random();
    if (kind < 0.24) return `${a} = ${this.#value()}`;
    if (kind < 0.5) return `${a} = ${b}`;
    if (kind < 0.56) return `${a} in (${this.#value()}, ${this.#value()})`;
    if (kind < 0.62) return this.#textCondition(all);
    if (kind < 0.68) {
      return `(${this.#condition(sources, outer, depth)} or ${this.#condition(sources, outer, depth)})`;
    }
    if (kind < 0.71) return `not ${this.#condition(sources, outer, depth)}`;
    if (kind < 0.74) return `${a} is null`;
    if (kind < 0.77) return `(${a}, ${b}) = (${this.#value()}, ${b})`;
    if (kind < 0.8)
      return `${a} = any('{${this.#favourite},${1 + this.#below(VALUE_MAX)}}'::int[])`;
    if (kind < 0.87 && depth > 0) {
      return `${this.#not()}exists (${this.#single(all, depth - 1)})`;
    }
    if (kind < 0.95 && depth > 0) return `${a} ${this.#not()}in (${this.#single(all, depth - 1)})`;
    return `${a} < ${1 + this.#below(VALUE_MAX)}`;
  }

  #textCondition(sources: readonly Source[]): string {
    const columns = sources.flatMap(({ alias, texts }) => texts.map((text) => `${alias}.${text}`));
    if (columns.length === 0) return 'true';
    const other = this.#chance(0.5) ? this.#pick(columns) : `'n${this.#below(5)}'`;
    return `${this.#pick(columns)} = ${other}`;
  }

  #not(): string {
    return this.#chance(0.3) ? 'not ' : '';
  }

  #value(): string {
    if (this.#chance(0.6)) return String(this.#favourite);
    return this.#pick([
      'null',
      `'${this.#favourite}'`,
      `${this.#favourite}.0`,
      '5.5',
      `-${this.#favourite}`,
      `'${this.#favourite}'::int8`,
      String(1 + this.#below(VALUE_MAX)),
    ]);
  }

  /** A number column, the shard key more often than others. */
  #int(sources: readonly Source[]): string | null {
    const numbered = sources.filter(({ ints }) => ints.length > 0);
    if (numbered.length === 0) return null;
    const { alias, ints, key } = this.#pick(numbered);
    return `${alias}.${ints.includes(key) && this.#chance(0.75) ? key : this.#pick(ints)}`;
  }

  #table(): readonly [string, Shape] {
    return this.#pick(this.#tables);
  }

  #keyedTable(): readonly [string, Shape] {
    return this.#pick(this.#tables.filter(([, { ints, key }]) => ints.includes(key)));
  }

  #alias(): string {
    return `t${this.#aliases++}`;
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!;
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }
}

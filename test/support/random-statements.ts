/**
 * Random statements over four small tables, for comparing a proxy with one Postgres. The grammar leans to what makes a
 * router go wrong: keys in lists, under OR and NOT, NULLs, joins on and off the key, sub-selects, outer joins.
 * Every statement has one right answer: rows are compared as multisets, and LIMIT stands only behind a total order.
 */
export interface RandomStatement {
  readonly sql: string;
  readonly params: readonly unknown[] | undefined;
  /** Rows must come in this order. */
  readonly ordered: boolean;
  readonly writes: boolean;
}

interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, Kind>>;
}
type Kind = 'key' | 'int' | 'text';
interface Entry {
  readonly alias: string;
  readonly table: Table;
}

/** Sharded `people` and `items` by k, reference `kinds`, unsharded `notes`. */
const tables: readonly Table[] = [
  { name: 'people', columns: { k: 'key', a: 'int', b: 'text' } },
  { name: 'items', columns: { k: 'key', n: 'int', a: 'int' } },
  { name: 'kinds', columns: { a: 'int', b: 'text' } },
  { name: 'notes', columns: { k: 'key', b: 'text' } },
];

export const randomSchema: readonly string[] = [
  'CREATE TABLE people (k int8 PRIMARY KEY, a int4, b text)',
  'CREATE TABLE items (k int8, n int4, a int4, PRIMARY KEY (k, n))',
  'CREATE TABLE kinds (a int4 PRIMARY KEY, b text)',
  'CREATE TABLE notes (k int8 PRIMARY KEY, b text)',
  `INSERT INTO people VALUES (0, 1, 'a'), (1, 2, 'b'), (2, NULL, NULL), (3, 3, 'a'), (4, 0, ''),
    (5, 1, 'c'), (6, 2, NULL), (7, 4, 'd'), (8, NULL, 'e'), (9, 1, 'b'), (-1, 5, 'z')`,
  `INSERT INTO items VALUES (1, 1, 1), (1, 2, NULL), (2, 1, 2), (3, 1, 3), (3, 2, 1), (3, 3, 0),
    (5, 1, NULL), (8, 1, 4), (9, 1, 1), (12, 1, 2), (-1, 1, 1)`,
  `INSERT INTO kinds VALUES (0, 'zero'), (1, 'one'), (2, NULL), (3, 'a')`,
  `INSERT INTO notes VALUES (1, 'a'), (2, 'note'), (3, NULL), (20, 'b')`,
];

/** A generator of numbers in [0, 1) from a seed (mulberry32, public domain algorithm by T. Ettinger). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class StatementGenerator {
  readonly #random: () => number;
  #params: unknown[] | null = null;
  #aliases = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  next(): RandomStatement {
    this.#params = this.#chance(0.4) ? [] : null;
    this.#aliases = 0;
    const kind = this.#random();
    const ordered = { value: false };
    const sql =
      kind < 0.62
        ? this.#query(ordered)
        : kind < 0.76
          ? this.#insert()
          : kind < 0.9
            ? this.#update()
            : this.#delete();
    return {
      ...this.#withParams(sql),
      ordered: ordered.value,
      writes: kind >= 0.62,
    };
  }

  /** Values of alternatives that were not chosen are left out. */
  #withParams(sql: string): Pick<RandomStatement, 'sql' | 'params'> {
    if (this.#params === null) return { sql, params: undefined };
    const used: unknown[] = [];
    const text = sql.replace(/\$(\d+)/g, (_, number: string) => {
      used.push(this.#params![Number(number) - 1]);
      return `$${used.length}`;
    });
    return { sql: text, params: used.length === 0 ? undefined : used };
  }

  // ---------------------------------------------------------------- queries

  #query(ordered: { value: boolean }): string {
    const kind = this.#random();
    if (kind < 0.08) return `${this.#keyQuery()} ${this.#setOperation()} ${this.#keyQuery()}`;
    if (kind < 0.16) {
      const name = `w${this.#aliases++}`;
      const inner = `SELECT k, a FROM ${this.#sharded().name} ${this.#where([], 1)}`;
      const outer = this.#entry(this.#sharded());
      const condition = this.#chance(0.6) ? `${outer.alias}.k = ${name}.k` : 'true';
      return `WITH ${name} AS (${inner}) SELECT * FROM ${name} JOIN ${this.#from(outer)} ON ${condition} ${this.#where([outer], 1)}`;
    }
    const entries: Entry[] = [];
    const from = this.#fromClause(entries);
    const where = this.#where(entries, 2);
    if (this.#chance(0.15)) return `SELECT ${this.#aggregates(entries)} ${from} ${where}`;
    if (this.#chance(0.08)) {
      const column = this.#column(entries);
      return `SELECT ${column}, count(*) ${from} ${where} GROUP BY ${column}`;
    }
    const list = this.#targets(entries);
    const distinct = this.#chance(0.07) ? 'DISTINCT ' : '';
    let sql = `SELECT ${distinct}${list.join(', ')} ${from} ${where}`;
    if (this.#chance(0.15)) {
      ordered.value = true;
      sql += ` ORDER BY ${list.map((_, i) => `${i + 1}${this.#chance(0.3) ? ' DESC' : ''}`).join(', ')}`;
      if (this.#chance(0.5)) sql += ` LIMIT ${this.#int(4)}`;
    } else if (distinct === '' && entries.length === 1 && this.#chance(0.05)) sql += ' FOR UPDATE';
    return sql;
  }

  /** One column of keys, so that set operations fit. */
  #keyQuery(): string {
    const entry = this.#entry(this.#sharded());
    return `SELECT ${entry.alias}.k FROM ${this.#from(entry)} ${this.#where([entry], 1)}`;
  }

  #setOperation(): string {
    return this.#pick(['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT']);
  }

  #fromClause(entries: Entry[]): string {
    const first = this.#entry(this.#chance(0.75) ? this.#sharded() : this.#pick(tables));
    entries.push(first);
    let from = `FROM ${this.#from(first)}`;
    for (let more = this.#random(); more < 0.4 && entries.length < 3; more = this.#random()) {
      const entry = this.#entry(this.#pick(tables));
      const join = this.#pick([
        'JOIN',
        'JOIN',
        'JOIN',
        'LEFT JOIN',
        'LEFT JOIN',
        'RIGHT JOIN',
        'FULL JOIN',
      ]);
      const condition = this.#joinCondition(entries, entry);
      entries.push(entry);
      if (join === 'FULL JOIN') from += ` FULL JOIN ${this.#from(entry)} ON ${condition}`;
      else {
        const extra = this.#chance(0.25) ? ` AND ${this.#condition(entries, 0)}` : '';
        from += ` ${join} ${this.#from(entry)} ON ${condition}${extra}`;
      }
    }
    return from;
  }

  #from(entry: Entry): string {
    if (this.#chance(0.1)) {
      const inner = this.#entry(entry.table);
      const columns = Object.keys(entry.table.columns).map((name) => `${inner.alias}.${name}`);
      const where = this.#where([inner], 0);
      return `(SELECT ${columns.join(', ')} FROM ${inner.table.name} ${inner.alias} ${where}) ${entry.alias}`;
    }
    return `${entry.table.name} ${entry.alias}`;
  }

  /** Plain equalities, which every kind of join can use. */
  #joinCondition(left: readonly Entry[], right: Entry): string {
    const other = this.#pick(left);
    const keys = 'k' in other.table.columns && 'k' in right.table.columns;
    if (keys && this.#chance(0.75)) return `${other.alias}.k = ${right.alias}.k`;
    return `${this.#columnOf(other, ['int', 'key'])} = ${this.#columnOf(right, ['int', 'key'])}`;
  }

  #targets(entries: readonly Entry[]): string[] {
    const list: string[] = [];
    for (let i = 1 + this.#int(3); i > 0; i--) {
      const column = this.#column(entries);
      list.push(
        this.#pick([column, column, column, `${column} IS NULL`, `coalesce(${column}::text, '-')`]),
      );
    }
    return list;
  }

  #aggregates(entries: readonly Entry[]): string {
    const column = this.#column(entries);
    return this.#pick([
      'count(*)',
      `count(${column})`,
      `count(*), count(${column})`,
      `max(${column}), min(${column})`,
      `count(DISTINCT ${column})`,
      `count(*) + 1`,
    ]);
  }

  // ---------------------------------------------------------------- writes

  #insert(): string {
    const table = this.#pick(tables);
    const names = Object.keys(table.columns);
    if (this.#chance(0.1) && table.name === 'items') {
      const source = this.#entry(tables[0]!);
      return `INSERT INTO items (k, n, a) SELECT ${source.alias}.k, 50 + ${this.#int(5)}, ${source.alias}.a FROM people ${source.alias} ${this.#where([source], 0)} ON CONFLICT DO NOTHING`;
    }
    if (this.#chance(0.2)) names.reverse();
    const rows: string[] = [];
    for (let i = this.#chance(0.5) ? 1 : 2 + this.#int(3); i > 0; i--) {
      const values = names.map((name) => this.#value(table.columns[name]!, 30));
      rows.push(`(${values.join(', ')})`);
    }
    const conflict = this.#pick([
      '',
      '',
      ' ON CONFLICT DO NOTHING',
      ' ON CONFLICT DO NOTHING',
      ` ON CONFLICT (${table.name === 'items' ? 'k, n' : names.includes('k') ? 'k' : 'a'}) DO UPDATE SET ${table.name === 'notes' || table.name === 'kinds' ? 'b' : 'a'} = excluded.${table.name === 'notes' || table.name === 'kinds' ? 'b' : 'a'}`,
    ]);
    return `INSERT INTO ${table.name} (${names.join(', ')}) VALUES ${rows.join(', ')}${conflict}${this.#returning()}`;
  }

  #update(): string {
    const table = this.#pick(tables);
    const entry = this.#entry(table);
    const column = table.name === 'people' || table.name === 'items' ? 'a' : 'b';
    const change =
      column === 'a'
        ? this.#pick([this.#value('int'), `${entry.alias}.a + 1`, 'NULL'])
        : this.#pick([this.#value('text'), `${entry.alias}.b || 'x'`]);
    if (this.#chance(0.15)) {
      const other = this.#entry(this.#sharded());
      const condition = `${entry.alias}.${'k' in table.columns ? 'k' : 'a'} = ${other.alias}.k`;
      const bound = `${other.alias}.n = 1`;
      const unique = other.table.name === 'items' ? ` AND ${bound}` : '';
      return `UPDATE ${table.name} ${entry.alias} SET ${column} = ${change} FROM ${other.table.name} ${other.alias} WHERE ${condition}${unique} AND ${this.#condition([entry, other], 0)}`;
    }
    return `UPDATE ${table.name} ${entry.alias} SET ${column} = ${change} ${this.#where([entry], 1)}${this.#returning()}`;
  }

  #delete(): string {
    const table = this.#pick(tables);
    const entry = this.#entry(table);
    // Few enough that the tables do not run empty.
    const bound = 'k' in table.columns ? this.#keyCondition(entry) : this.#comparison([entry]);
    const rest = this.#chance(0.4) ? ` AND ${this.#condition([entry], 1)}` : '';
    return `DELETE FROM ${table.name} ${entry.alias} WHERE ${bound}${rest}${this.#returning()}`;
  }

  #returning(): string {
    return this.#chance(0.25) ? ' RETURNING *' : '';
  }

  // ---------------------------------------------------------------- conditions

  #where(entries: readonly Entry[], depth: number): string {
    if (entries.length === 0 || this.#chance(0.12)) return '';
    const keyed = entries.filter((entry) => 'k' in entry.table.columns);
    const conditions: string[] = [];
    for (const entry of keyed) {
      if (this.#chance(0.5)) conditions.push(this.#keyCondition(entry));
    }
    if (conditions.length === 0 || this.#chance(0.4))
      conditions.push(this.#condition(entries, depth));
    return `WHERE ${conditions.join(' AND ')}`;
  }

  #condition(entries: readonly Entry[], depth: number): string {
    const kind = this.#random();
    if (depth > 0 && kind < 0.35) {
      const join = this.#pick([' AND ', ' OR ']);
      return `(${this.#condition(entries, depth - 1)}${join}${this.#condition(entries, depth - 1)})`;
    }
    if (depth > 0 && kind < 0.43) return `NOT (${this.#condition(entries, depth - 1)})`;
    if (depth > 0 && kind < 0.56) return this.#subSelect(entries);
    const keyed = entries.filter((entry) => 'k' in entry.table.columns);
    if (keyed.length > 0 && kind < 0.8) return this.#keyCondition(this.#pick(keyed));
    return this.#comparison(entries);
  }

  #keyCondition(entry: Entry): string {
    const key = `${entry.alias}.k`;
    const v = (): string => this.#value('key');
    const list = (): string => Array.from({ length: 1 + this.#int(4) }, v).join(', ');
    return this.#pick<() => string>([
      () => `${key} = ${v()}`,
      () => `${key} = ${v()}`,
      () => `${v()} = ${key}`,
      () => `${key} IN (${list()})`,
      () => `${key} IN (${list()})`,
      () => `${key} = ANY (ARRAY[${list()}]::int8[])`,
      () => `${key} = ANY (${this.#array()})`,
      () => `(${key} = ${v()} OR ${key} = ${v()})`,
      () => `${key} NOT IN (${list()})`,
      () => `${key} <> ${v()}`,
      () => `${key} <= ${v()}`,
      () => `${key} BETWEEN ${v()} AND ${v()}`,
      () => `${key} + 0 = ${v()}`,
      () => `${key} IS NOT NULL`,
      () => `${key} IS NOT DISTINCT FROM ${v()}`,
      () => `(${key}, 1) IN ((${v()}, 1), (${v()}, ${1 + this.#int(2)}))`,
      () => `${key} = ${v()} AND ${key} = ${v()}`,
    ])();
  }

  #comparison(entries: readonly Entry[]): string {
    const entry = this.#pick(entries);
    const name = this.#pick(Object.keys(entry.table.columns));
    const column = `${entry.alias}.${name}`;
    const kind = entry.table.columns[name]!;
    return this.#pick([
      `${column} = ${this.#value(kind)}`,
      `${column} <> ${this.#value(kind)}`,
      `${column} > ${this.#value(kind)}`,
      `${column} IN (${this.#value(kind)}, ${this.#value(kind)})`,
      `${column} IS NULL`,
      `${column} IS NOT NULL`,
    ]);
  }

  #subSelect(entries: readonly Entry[]): string {
    const outer = this.#pick(entries);
    const inner = this.#entry(this.#pick(tables));
    const outerKey = 'k' in outer.table.columns ? `${outer.alias}.k` : `${outer.alias}.a`;
    const innerKey = 'k' in inner.table.columns ? `${inner.alias}.k` : `${inner.alias}.a`;
    const extra = this.#chance(0.4) ? ` AND ${this.#condition([inner], 0)}` : '';
    const from = `FROM ${inner.table.name} ${inner.alias}`;
    return this.#pick([
      `EXISTS (SELECT ${from} WHERE ${innerKey} = ${outerKey}${extra})`,
      `NOT EXISTS (SELECT ${from} WHERE ${innerKey} = ${outerKey}${extra})`,
      `${outerKey} IN (SELECT ${innerKey} ${from} WHERE ${this.#condition([inner], 0)})`,
      `${outerKey} NOT IN (SELECT ${innerKey} ${from} WHERE ${this.#condition([inner], 0)})`,
      `${outerKey} = (SELECT max(${innerKey}) ${from} WHERE ${innerKey} = ${outerKey})`,
      `EXISTS (SELECT ${from} WHERE ${this.#condition([inner, outer], 0)})`,
    ]);
  }

  // ---------------------------------------------------------------- names and values

  #entry(table: Table): Entry {
    return { alias: `t${this.#aliases++}`, table };
  }

  #sharded(): Table {
    return this.#pick(tables.slice(0, 2));
  }

  #column(entries: readonly Entry[]): string {
    const entry = this.#pick(entries);
    return `${entry.alias}.${this.#pick(Object.keys(entry.table.columns))}`;
  }

  #columnOf(entry: Entry, kinds: readonly Kind[]): string {
    const names = Object.entries(entry.table.columns).filter(([, kind]) => kinds.includes(kind));
    return `${entry.alias}.${this.#pick(names)[0]}`;
  }

  #value(kind: Kind, keysMax = 14): string {
    if (this.#chance(kind === 'key' ? 0.04 : 0.1)) return this.#write(null, 'NULL');
    if (kind === 'text') {
      const text = this.#pick(['a', 'b', 'c', 'd', '', 'z']);
      return this.#write(text, `'${text}'`);
    }
    const number = kind === 'key' ? this.#int(keysMax) - (this.#chance(0.1) ? 3 : 0) : this.#int(6);
    const forms =
      kind === 'key'
        ? [`${number}`, `${number}`, `'${number}'`, `${number}::int8`, `'${number}'::int2`]
        : [`${number}`];
    return this.#write(number, this.#pick(forms));
  }

  #array(): string {
    const values = Array.from({ length: this.#int(4) }, () =>
      this.#chance(0.1) ? 'NULL' : `${this.#int(14)}`,
    );
    const text = `{${values.join(',')}}`;
    return this.#write(text, `'${text}'`);
  }

  /** As the next parameter where this statement uses some, else as it stands. */
  #write(value: unknown, literal: string): string {
    if (this.#params === null || this.#chance(0.3)) return literal;
    this.#params.push(value);
    return `$${this.#params.length}`;
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)]!;
  }

  #int(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }
}

/** A table, with columns by what can be done with them. */
export interface ScatterTable {
  readonly name: string;
  /** The shard key, an integer. */
  readonly key: string;
  readonly numbers: readonly string[];
  readonly texts: readonly string[];
}

interface Source extends ScatterTable {
  readonly alias: string;
}

/**
 * Writes random SELECTs that shards answer in parts: sorted, cut, grouped, made distinct, put
 * together by set operations, with windows, over one table, colocated joins and sub-selects. Every
 * LIMIT comes with an order by all outputs, so that there is one right answer.
 */
export class RandomScatters {
  readonly #random: () => number;
  readonly #tables: readonly ScatterTable[];
  #aliases = 0;

  constructor(random: () => number, tables: readonly ScatterTable[]) {
    this.#random = random;
    this.#tables = tables;
  }

  statement(): string {
    this.#aliases = 0;
    const kind = this.#random();
    if (kind < 0.2) return this.#sorted();
    if (kind < 0.6) return this.#grouped();
    if (kind < 0.7) return this.#distinct();
    if (kind < 0.85) return this.#setOperation();
    return this.#windowed();
  }

  #sorted(): string {
    const { from, sources } = this.#from();
    const columns = this.#some(this.#columns(sources), 1, 4);
    const hidden = this.#chance(0.4) ? [`${this.#pick(this.#numbers(sources))} * 2`] : [];
    const outputs = columns.map((column, index) => `${column}${this.#alias(index)}`);
    return `select ${outputs.join(', ')} from ${from}${this.#where(sources)}${this.#order(columns.length, hidden)}`;
  }

  #alias(index: number): string {
    return this.#chance(0.3) ? ` as out${index}` : '';
  }

  #grouped(): string {
    const { from, sources } = this.#from();
    const groups = this.#some(this.#groupable(sources), 0, 2);
    const calls = Array.from({ length: 1 + this.#below(3) }, () => this.#aggregate(sources));
    const outputs = [...groups, ...calls];
    const names = groups.map((group, index) => (this.#chance(0.4) ? String(index + 1) : group));
    const sets = this.#pick(['', '', '', 'rollup', 'cube', 'grouping sets']);
    const listed = sets === '' ? names.join(', ') : `${sets} (${names.join(', ')})`;
    const group = groups.length === 0 ? '' : ` group by ${listed}`;
    if (groups.length > 0 && this.#chance(0.2)) {
      outputs.push(`sum(count(*)) over (partition by ${groups[0]!})`);
    }
    const having = this.#chance(0.3) ? ` having ${this.#aggregate(sources)} is not null` : '';
    const head = this.#chance(0.1) ? 'select distinct' : 'select';
    return `${head} ${outputs.join(', ')} from ${from}${this.#where(sources)}${group}${having}${this.#order(outputs.length, [])}`;
  }

  #aggregate(sources: readonly Source[]): string {
    const number = this.#pick(this.#numbers(sources));
    const text = this.#pick(this.#texts(sources));
    const filter = this.#chance(0.25) ? ` filter (where ${number} > ${this.#below(12)})` : '';
    const call = this.#pick([
      'count(*)',
      `count(${text})`,
      `sum(${number})`,
      `avg(${number})`,
      `min(${text})`,
      `max(${number} + 1)`,
      `bool_and(${number} > 2)`,
      `bool_or(${text} = 's1')`,
      `sum(${number} * 2)`,
      `avg(${number} - 1)`,
      `count(distinct ${text})`,
      `sum(distinct ${number})`,
      `array_agg(distinct ${text} order by ${text} desc)`,
    ]);
    const wrapped = `${call}${filter}`;
    if (/^array_agg/.test(call)) return call;
    return this.#chance(0.2) && /^(count|sum|avg|max)/.test(call) ? `${wrapped} * 2 + 1` : wrapped;
  }

  #distinct(): string {
    const { from, sources } = this.#from();
    const columns = this.#some(this.#columns(sources), 1, 3);
    const rest = `from ${from}${this.#where(sources)}`;
    if (this.#chance(0.35)) {
      const all = this.#columns(sources);
      const order = all.map((column) => `${column}${this.#direction()}`).join(', ');
      return `select distinct on (${all[0]!}) ${columns.join(', ')} ${rest} order by ${order}`;
    }
    return `select distinct ${columns.join(', ')} ${rest}${this.#order(columns.length, [])}`;
  }

  #setOperation(): string {
    const keyed = this.#chance(0.6);
    const arm = (): string => {
      const { from, sources } = this.#from();
      const { alias, key } = sources[0]!;
      const first = keyed ? `${alias}.${key}::int8` : `${this.#pick(this.#numbers(sources))}::int8`;
      const text = this.#pick(this.#texts(sources));
      return `select ${first} as a, ${text}::text as b from ${from}${this.#where(sources)}`;
    };
    const operation = this.#pick([
      'union all',
      'union',
      'union',
      'intersect',
      'except',
      'except all',
    ]);
    let sql = `${arm()} ${operation} ${arm()}`;
    if (this.#chance(0.2)) sql = `${sql} ${this.#pick(['union', 'union all'])} ${arm()}`;
    const kind = this.#random();
    if (kind < 0.3) return `select a, count(*) from (${sql}) u group by a order by 1`;
    if (kind < 0.5) return `select * from (${sql}) u where a < 9${this.#order(2, [])}`;
    return `${sql}${this.#order(2, [])}`;
  }

  #windowed(): string {
    const { from, sources } = this.#from();
    const { alias, key } = sources[0]!;
    const all = this.#columns(sources).join(', ');
    const by = this.#chance(0.7) ? `${alias}.${key}` : this.#pick(this.#texts(sources));
    const call = this.#pick(['row_number()', 'rank()', `sum(${alias}.${key})`, 'count(*)']);
    const window = `partition by ${by} order by ${all}`;
    const named = this.#chance(0.3);
    const over = named ? 'over w' : `over (${window})`;
    const tail = named ? ` window w as (${window})` : '';
    const columns = this.#some(this.#columns(sources), 1, 2);
    return `select ${columns.join(', ')}, ${call} ${over} from ${from}${this.#where(sources)}${tail}${this.#order(columns.length + 1, [])}`;
  }

  /** One table, a colocated join, or a sub-select that keeps or loses the key. */
  #from(): { from: string; sources: readonly Source[] } {
    const left = this.#source();
    const kind = this.#random();
    if (kind < 0.55) return { from: `${left.name} ${left.alias}`, sources: [left] };
    if (kind < 0.8) {
      const right = this.#source();
      const join = this.#pick(['join', 'left join']);
      const on = `${left.alias}.${left.key} = ${right.alias}.${right.key}`;
      const from = `${left.name} ${left.alias} ${join} ${right.name} ${right.alias} on ${on}`;
      return { from, sources: [left, right] };
    }
    const alias = this.#name();
    const { key, name } = left;
    const text = left.texts[0]!;
    const inner = this.#pick([
      `select ${key}, max(${text}) as ${text} from ${name} group by ${key}`,
      `select distinct ${key}, ${text} from ${name}`,
      `select ${key}, ${text} from ${name} where ${key} > 2`,
      `select ${key}, ${text} from ${name} order by 1, 2 limit 5`,
    ]);
    const source = { ...left, alias, numbers: [key], texts: [text] };
    return { from: `(${inner}) ${alias}`, sources: [source] };
  }

  #source(): Source {
    return { ...this.#pick(this.#tables), alias: this.#name() };
  }

  #name(): string {
    return `x${this.#aliases++}`;
  }

  #numbers(sources: readonly Source[]): string[] {
    return sources.flatMap(({ alias, numbers }) => numbers.map((column) => `${alias}.${column}`));
  }

  #texts(sources: readonly Source[]): string[] {
    return sources.flatMap(({ alias, texts }) => texts.map((column) => `${alias}.${column}`));
  }

  #columns(sources: readonly Source[]): string[] {
    return [...this.#numbers(sources), ...this.#texts(sources)];
  }

  #groupable(sources: readonly Source[]): string[] {
    const key = `${sources[0]!.alias}.${sources[0]!.key}`;
    const expressions = [
      `upper(${this.#pick(this.#texts(sources))})`,
      `${this.#pick(this.#numbers(sources))} % 3`,
    ];
    return [key, ...this.#texts(sources), ...this.#texts(sources), ...expressions];
  }

  #where(sources: readonly Source[]): string {
    if (this.#chance(0.5)) return '';
    const { alias, key } = sources[0]!;
    return this.#pick([
      ` where ${alias}.${key} in (${1 + this.#below(14)}, ${1 + this.#below(14)}, 3)`,
      ` where ${this.#pick(this.#numbers(sources))} > ${this.#below(14)}`,
      ` where ${this.#pick(this.#texts(sources))} is not null`,
      ` where ${alias}.${key} = ${1 + this.#below(14)}`,
      ' where false',
    ]);
  }

  /** Hidden expressions first, then all outputs by ordinal; LIMIT and OFFSET now and then. */
  #order(outputs: number, hidden: readonly string[]): string {
    if (this.#chance(0.15)) return '';
    const ordinals = Array.from({ length: outputs }, (_, index) => String(index + 1));
    const keys = [...hidden, ...ordinals].map((key) => `${key}${this.#direction()}`);
    const order = ` order by ${keys.join(', ')}`;
    const kind = this.#random();
    if (kind < 0.3) return order;
    const offset = this.#chance(0.4) ? ` offset ${this.#below(5)}` : '';
    if (kind < 0.45) return `${order}${offset} fetch first ${1 + this.#below(6)} rows with ties`;
    return `${order}${kind < 0.9 ? ` limit ${this.#below(8)}` : ''}${offset}`;
  }

  #direction(): string {
    return this.#pick(['', '', ' desc', ' desc nulls last', ' nulls first']);
  }

  #some(items: readonly string[], least: number, most: number): string[] {
    const count = least + this.#below(most - least + 1);
    return [...new Set(Array.from({ length: count }, () => this.#pick(items)))];
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

import type { Dice } from './chaos-random.js';

/** A table with a key column `k` of this SQL type, and keys that it holds or is compared with. */
export interface KeyedTable {
  readonly name: string;
  readonly type: string;
  readonly keys: readonly string[];
}

/** Random conditions on `k` (and `n`, an int) of one table. */
export class KeyConditions {
  readonly #dice: Dice;
  readonly #table: KeyedTable;
  /** Values of `$1` and so on; null: a simple query, which has none. */
  readonly params: string[] | null;

  constructor(dice: Dice, table: KeyedTable, withParams: boolean) {
    this.#dice = dice;
    this.#table = table;
    this.params = withParams ? [] : null;
  }

  /** @param prefix stands in front of the columns: `a.` */
  make(prefix = '', depth = 3): string {
    const dice = this.#dice;
    if (depth === 0 || dice.chance(0.4)) return this.#atom(`${prefix}k`, `${prefix}n`);
    const [left, right] = [this.make(prefix, depth - 1), this.make(prefix, depth - 1)];
    return `(${left} ${dice.pick(['AND', 'AND', 'OR'])} ${right})`;
  }

  #atom(k: string, n: string): string {
    const dice = this.#dice;
    const kind = dice.below(20);
    if (kind < 8) return `${k} ${dice.pick(['<', '<=', '>', '>=', '='])} ${this.#value()}`;
    if (kind < 10) return `${this.#value()} ${dice.pick(['<', '<=', '>', '>='])} ${k}`;
    if (kind < 15 || (kind < 18 && !['text', 'bpchar'].includes(this.#table.type))) {
      const symmetric = dice.chance(0.3) ? 'SYMMETRIC ' : '';
      return `${k} BETWEEN ${symmetric}${this.#value()} AND ${this.#value()}`;
    }
    if (kind < 18) {
      const start = dice.pick(this.#table.keys).slice(0, 2);
      return `${k} LIKE ${this.#given(`${start}${dice.pick(['%', '_', '', '%a', '\\%'])}`)}`;
    }
    return dice.pick([`${k} IS NOT NULL`, `${n} > 5`, `NOT ${k} < ${this.#value()}`]);
  }

  /** Of the key's type, or of another one that it is compared with. */
  #value(): string {
    const dice = this.#dice;
    const { type, keys } = this.#table;
    const key = `${dice.pick(keys)}${type === 'bpchar' ? dice.pick(['', ' ', '  ']) : ''}`;
    const kind = dice.below(20);
    if (kind === 0) return 'NULL';
    if (kind < 5) return this.#given(key);
    if (kind < 8) return `${this.#given(key)}::${type}`;
    if (kind < 14) {
      if (type.startsWith('int')) return dice.chance(0.2) ? `${key}.5` : key;
      if (type === 'timestamp') return `date '${key.split(' ')[0]!}'`;
      if (type === 'timestamptz') return `timestamp '${key.replace('+00', '')}'`;
      if (type === 'date') return `timestamptz '${key}'`;
      if (type === 'bpchar') return `${dice.pick(['text', 'char(2)', 'varchar'])} '${key}'`;
    }
    return kind < 17 ? quoted(key) : `${quoted(key)}::${type}`;
  }

  #given(text: string): string {
    if (this.params === null || this.#dice.chance(0.4)) return quoted(text);
    this.params.push(text);
    return `$${this.params.length}`;
  }
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

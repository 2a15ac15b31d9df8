import { SqlError } from '../errors/sql-error.js';
import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import type { Keyspace } from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { HeavyHitters } from '../metrics/heavy-hitters.js';
import type { ColumnTerm, KeyTerm } from '../planner/plan.js';
import { ShardTargets, type KeySampler, type ValueSource } from './shard-targets.js';
import { ValueTexts } from './value-texts.js';

/** Every so many keys one is looked at, on average: that takes 1 us, so 8 ns a statement. */
const PACE = 128;
/** Kept for each table. */
const KEYS_MAX = 64;
const TABLES_MAX = 1000;
/** Longer keys are told apart by their beginnings. */
const KEY_LENGTH_MAX = 200;

/** The keys of one table that statements name most often. */
export interface TableKeys {
  readonly keyspace: string;
  readonly schema: string;
  readonly table: string;
  readonly keys: HeavyHitters;
}

/**
 * Which shard keys statements name, by a sample of those that name one; bounded memory. Of keys of several columns
 * whose first one leads to shards by itself, that one is what counts.
 */
export class KeySamples implements KeySampler {
  left = PACE;
  readonly #tables = new Map<string, TableKeys>();
  readonly #targets = new ShardTargets();
  readonly #cell = new KeyspaceIdCell();
  readonly #chance: () => number;

  /** `chance` gives numbers from 0 to 1. */
  constructor(chance: () => number = Math.random) {
    this.#chance = chance;
  }

  all(): Iterable<TableKeys> {
    return this.#tables.values();
  }

  take(keyspace: Keyspace, term: KeyTerm, source: ValueSource): void {
    // By chance: what comes in turns would else be seen at the same turn each time.
    this.left = 1 + Math.floor(this.#chance() * (2 * PACE - 1));
    const counted = countedOf(term);
    const columns = counted.columns === undefined ? [[counted]] : counted.columns;
    const texts = columns.map((terms) => this.#textOf(terms, source));
    const { table } = columns[0]![0]!;
    if (table === undefined || texts.includes(null)) return;
    const keys = this.#keysOf(keyspace.name, table);
    if (keys === null) return;
    const shards = this.#shardsOf(keyspace, counted, source);
    if (shards !== null) keys.add(shortened(texts.join(', ')), shards);
  }

  /** Null: it is no single value, or none that can be read. */
  #textOf([term, ...others]: readonly ColumnTerm[], source: ValueSource): string | null {
    if (term === undefined || others.length > 0) return null;
    const { source: from, inputType, columnType } = term;
    const mapper = new ValueTexts(inputType === TypeOid.unknown ? columnType : inputType);
    this.#targets.mapTo({ source: from, mapper }, source, this.#cell);
    return mapper.values[0] ?? null;
  }

  #shardsOf(keyspace: Keyspace, term: KeyTerm, source: ValueSource): string | null {
    try {
      this.#targets.resolve(keyspace, [[term]], source);
    } catch (error) {
      // The statement says so itself.
      if (error instanceof SqlError) return null;
      throw error;
    }
    return this.#targets.shards.map(({ name }) => name).join(' ');
  }

  #keysOf(keyspace: string, table: NonNullable<ColumnTerm['table']>): HeavyHitters | null {
    const name = JSON.stringify([keyspace, table.schema, table.name]);
    const known = this.#tables.get(name);
    if (known !== undefined) return known.keys;
    if (this.#tables.size >= TABLES_MAX) return null;
    const keys = new HeavyHitters(KEYS_MAX);
    this.#tables.set(name, { keyspace, schema: table.schema, table: table.name, keys });
    return keys;
  }
}

function countedOf(term: KeyTerm): KeyTerm {
  if (term.columns === undefined || term.parts.eachSpan === null) return term;
  return { columns: term.columns.slice(0, 1), parts: term.parts, whole: false };
}

/** A copy: what is cut out of a long string would keep all of it. */
function shortened(key: string): string {
  return key.length <= KEY_LENGTH_MAX
    ? key
    : Buffer.from(key.slice(0, KEY_LENGTH_MAX)).toString('utf8');
}

/** About how many statements a count of the sample stands for. */
export function statementsOf(count: number): number {
  return Math.round(count * PACE);
}

import type { Table } from '../../keyspace/topology.js';

/** What was looked at on one shard. */
export interface Finding {
  /** `schema.name`. */
  readonly table: string;
  readonly shard: string;
  readonly check: 'rows' | 'shell' | 'copy' | `lookup of ${string}`;
  /** How many rows (or entries) were looked at. */
  readonly rows: number;
  /** How many of them are wrong; null: some, nobody knows how many. */
  readonly wrong: number | null;
  /** What is wrong with them; empty: nothing. */
  readonly detail: string;
}

export function nameOf({ schema, name }: Table): string {
  return `${schema}.${name}`;
}

import { readFileSync } from 'node:fs';
import type { TypeOid } from '../../../src/keyspace/type-oids.js';

/** Key types with golden vectors; the names are those of `TypeOid` and of SQL. */
export const goldenTypes = [
  'int2',
  'int4',
  'int8',
  'text',
  'varchar',
  'uuid',
  'bytea',
  'numeric',
  'date',
  'timestamp',
  'timestamptz',
  'bool',
] as const satisfies readonly (keyof typeof TypeOid)[];

export type GoldenType = (typeof goldenTypes)[number];

export interface GoldenVectors {
  /** Text, hash as signed bigint, binary format in hex: values that every client may send. */
  readonly canonical: readonly (readonly [string, string, string])[];
  /** Text and hash, null where the server refuses the text: odd and broken spellings. */
  readonly spellings: readonly (readonly [string, string | null])[];
}

/** What the real server said; see scripts/make-hash-vectors.mjs. */
export function goldenVectors(type: GoldenType): GoldenVectors {
  const file = new URL(`golden/${type}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as GoldenVectors;
}

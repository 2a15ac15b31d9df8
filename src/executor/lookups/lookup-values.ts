import type { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Keyspace } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { NO_MATCH, UNREADABLE, type KeyMapper, type MapOutcome } from '../../keyspace/vindex.js';
import { SqlError } from '../../errors/sql-error.js';
import type { LookupTerm } from '../../planner/plan.js';
import { ShardTargets, type ValueSource } from '../shard-targets.js';

/** Stands in a vindex's place and notes the values as text; it maps none of them. */
class ValueTexts implements KeyMapper {
  values: string[] = [];
  readonly #binary: (bytes: Buffer) => string | null;

  constructor(type: number) {
    this.#binary = binaryTexts.get(type) ?? (() => null);
  }

  text(bytes: Uint8Array, start: number, end: number, _out: KeyspaceIdCell): MapOutcome {
    this.values.push(Buffer.from(bytes.subarray(start, end)).toString('utf8'));
    return NO_MATCH;
  }

  binary(bytes: Uint8Array, start: number, end: number, _out: KeyspaceIdCell): MapOutcome {
    const text = this.#binary(Buffer.from(bytes.subarray(start, end)));
    if (text === null) return UNREADABLE;
    this.values.push(text);
    return NO_MATCH;
  }
}

const utf8 = (bytes: Buffer): string => bytes.toString('utf8');
const integer =
  (size: number, read: (bytes: Buffer) => bigint | number) =>
  (bytes: Buffer): string | null =>
    bytes.length === size ? String(read(bytes)) : null;

/** From the binary form, for the types that clients send in it. */
const binaryTexts: ReadonlyMap<number, (bytes: Buffer) => string | null> = new Map([
  [TypeOid.text, utf8],
  [TypeOid.varchar, utf8],
  [TypeOid.bpchar, utf8],
  [TypeOid.int2, integer(2, (bytes) => bytes.readInt16BE())],
  [TypeOid.int4, integer(4, (bytes) => bytes.readInt32BE())],
  [TypeOid.int8, integer(8, (bytes) => bytes.readBigInt64BE())],
  [TypeOid.uuid, (bytes: Buffer) => (bytes.length === 16 ? bytes.toString('hex') : null)],
]);

/** The values of a lookup's terms in one execution, as text, NULLs left out; null: they cannot be read here. */
export function lookupValues(
  keyspace: Keyspace,
  terms: readonly LookupTerm[],
  source: ValueSource,
): readonly string[] | null {
  const found = new Set<string>();
  for (const { source: from, inputType } of terms) {
    const mapper = new ValueTexts(inputType);
    const term = { source: from, mapper, inputType, columnType: inputType, column: '' };
    try {
      new ShardTargets().resolve(keyspace, [[term]], source);
    } catch (error) {
      if (error instanceof SqlError) return null;
      throw error;
    }
    for (const value of mapper.values) found.add(value);
  }
  return [...found];
}

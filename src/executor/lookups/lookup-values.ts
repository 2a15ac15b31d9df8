import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { Keyspace } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { hashSinks } from '../../vindex/hash.js';
import { equalityMapper } from '../../vindex/key-types.js';
import { SqlError } from '../../errors/sql-error.js';
import type { LookupTerm } from '../../planner/plan.js';
import { ShardTargets, type ValueSource } from '../shard-targets.js';
import { ValueTexts } from '../value-texts.js';

/** Types of which a text is read by what a session has set: only those that say all by themselves are asked for. */
const TIMES: readonly number[] = [TypeOid.date, TypeOid.timestamp, TypeOid.timestamptz];

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
    for (const value of mapper.values) {
      if (TIMES.includes(inputType) && !saysAll(value, inputType)) return null;
      found.add(value);
    }
  }
  return [...found];
}

/** Whether a text of a date or time means the same whatever time zone and order of days and months are set. */
function saysAll(text: string, type: number): boolean {
  const bytes = Buffer.from(text);
  const mapper = equalityMapper(hashSinks, type, TypeOid.unknown, -1);
  return mapper?.text(bytes, 0, bytes.length, new KeyspaceIdCell()) === MAPPED;
}

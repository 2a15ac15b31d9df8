import type { Keyspace } from '../../keyspace/topology.js';
import { SqlError } from '../../errors/sql-error.js';
import type { LookupTerm } from '../../planner/plan.js';
import { ShardTargets, type ValueSource } from '../shard-targets.js';
import { ValueTexts } from '../value-texts.js';

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

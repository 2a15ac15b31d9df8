import type { Analysis } from './analysis.js';
import type { Entry, Level } from './model.js';
import type { Tables } from './placement.js';
import { refuse } from './refusals.js';

/** A lock on one copy of a row is no lock on the others. */
export function refuseReferenceLocks(tables: Tables, analysis: Analysis): void {
  const locked = lockedReference(tables, analysis);
  if (locked === null) return;
  refuse(
    `row locks on reference table "${locked.alias}" are not supported in this statement: each shard has its own copy`,
    'Name the other tables after FOR UPDATE OF, and lock its rows by a SELECT from reference tables alone.',
  );
}

/** A reference table whose rows are locked; null: there is none. */
export function lockedReference({ reference }: Tables, { levels }: Analysis): Entry | null {
  const locked = reference.find(({ entry }) =>
    levels.some((level) => level.locking && locks(level, entry, level.lockedNames)),
  );
  return locked?.entry ?? null;
}

/**
 * Whether a locking clause of the level reaches an entry: in its FROM, or in derived tables there.
 */
function locks(level: Level, target: Entry, names: readonly string[] | null): boolean {
  return level.entries.some((entry) => {
    if (names !== null && !names.includes(entry.alias)) return false;
    if (entry === target) return true;
    return entry.query !== null && locks(entry.query, target, null);
  });
}

import type { Analysis } from './analysis.js';
import type { ShardedOccurrence } from './placement.js';
import { lookupSelector } from './lookups.js';
import type { KeyRanges, KeyTerm, ShardSelector } from './plan.js';
import type { SplitQuery } from './splitting.js';
import { keyRanges } from './key-ranges.js';
import { keyTerms } from './terms.js';

/** The shards that have rows of a split query: those of its drivers' keys, where all are bound. */
export function driverShards(split: SplitQuery, analysis: Analysis): ShardSelector {
  const { keyspace } = split.drivers[0]!.table;
  const groups = keyGroups(split.drivers, analysis);
  if (groups === null) {
    const [driver, ...others] = split.drivers;
    const found = others.length === 0 ? lookupSelector(driver!, analysis) : null;
    return found ?? allWithin(split.drivers, analysis);
  }
  if (groups.length === 1) return { kind: 'keys', keyspace, groups };
  // Rows of one arm may be on other shards than those of another one.
  const distinct = new Map<string, KeyTerm>();
  const mappers = [...new Set(groups.flat().map(({ mapper }) => mapper))];
  for (const term of groups.flat()) {
    const { source, inputType, mapper, stored } = term;
    distinct.set(JSON.stringify([source, inputType, mappers.indexOf(mapper), stored]), term);
  }
  return { kind: 'keys', keyspace, groups: [[...distinct.values()]] };
}

/** All shards that may have rows of any of these tables of one keyspace. */
export function allWithin(tables: readonly ShardedOccurrence[], analysis: Analysis): ShardSelector {
  const { keyspace } = tables[0]!.table;
  const within: KeyRanges[] = [];
  for (const table of tables) {
    const ranges = keyRanges(table, analysis);
    if (ranges === null) return { kind: 'all', keyspace };
    within.push(ranges);
  }
  return { kind: 'all', keyspace, within };
}

/** What the shard keys of all these tables are bound to; null where one is bound to nothing. */
export function keyGroups(
  tables: readonly ShardedOccurrence[],
  analysis: Analysis,
): KeyTerm[][] | null {
  const groups: KeyTerm[][] = [];
  for (const table of tables) {
    const terms = keyTerms(table, analysis);
    if (terms === null) return null;
    if (!groups.some((group) => sameTerms(group, terms))) groups.push(terms);
  }
  return groups;
}

function sameTerms(a: readonly KeyTerm[], b: readonly KeyTerm[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((term, index) => {
    const other = b[index]!;
    return (
      term.mapper === other.mapper &&
      term.inputType === other.inputType &&
      term.stored === other.stored &&
      JSON.stringify(term.source) === JSON.stringify(other.source)
    );
  });
}

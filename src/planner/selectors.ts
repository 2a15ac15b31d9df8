import type { Analysis } from './analysis.js';
import type { ShardedOccurrence } from './placement.js';
import { lookupSelector } from './lookups.js';
import type { ColumnTerm, KeyRanges, KeyTerm, ShardSelector } from './plan.js';
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
  const names = termNames();
  const distinct = new Map(groups.flat().map((term) => [names(term), term]));
  return { kind: 'keys', keyspace, groups: [[...distinct.values()]] };
}

/** All shards that may have rows of any of these tables of one keyspace. */
export function allWithin(tables: readonly ShardedOccurrence[], analysis: Analysis): ShardSelector {
  const { keyspace } = tables[0]!.table;
  const within: KeyRanges[] = [];
  for (const table of tables) {
    const keys = keyRanges(table, analysis);
    if (keys === null) return { kind: 'all', keyspace };
    within.push(keys);
  }
  return { kind: 'all', keyspace, within };
}

/** What the shard keys of all these tables are bound to; null where one is bound to nothing. */
export function keyGroups(
  tables: readonly ShardedOccurrence[],
  analysis: Analysis,
): KeyTerm[][] | null {
  if (tables.length === 1) {
    const terms = keyTerms(tables[0]!, analysis);
    return terms === null ? null : [terms];
  }
  const groups = new Map<string, KeyTerm[]>();
  const names = termNames();
  for (const table of tables) {
    const terms = keyTerms(table, analysis);
    if (terms === null) return null;
    const name = terms.map(names).join();
    if (!groups.has(name)) groups.set(name, terms);
  }
  return [...groups.values()];
}

/** Names terms; those that always mean the same key have the same one. */
function termNames(): (term: KeyTerm) => string {
  const known: object[] = [];
  const numberOf = (own: object): number => {
    const number = known.indexOf(own);
    return number < 0 ? known.push(own) - 1 : number;
  };
  const nameOf = ({ source, inputType, mapper, stored }: ColumnTerm): unknown[] => {
    const value = source.kind === 'constant' ? [...(source.bytes ?? [-1])] : source;
    return [value, inputType, numberOf(mapper), stored === true];
  };
  return (term) =>
    JSON.stringify(
      term.columns === undefined
        ? nameOf(term)
        : [numberOf(term.parts), term.columns.map((values) => values.map(nameOf))],
    );
}

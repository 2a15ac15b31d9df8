import type { CatalogRelation } from '../keyspace/catalog.js';
import { keyColumnRefusal } from '../keyspace/key-columns.js';
import type { Keyspace, ShardedTable } from '../keyspace/topology.js';
import type { Analysis } from './analysis.js';
import type { Occurrence } from './model.js';
import { refuse } from './refusals.js';
import { writeProblem } from './triggers/table-triggers.js';

export interface ShardedOccurrence extends Occurrence {
  readonly table: ShardedTable;
}

/** The tables of a statement by what their rows' places mean for it. */
export interface Tables {
  readonly sharded: readonly ShardedOccurrence[];
  readonly reference: readonly Occurrence[];
  /** Tables of an unsharded keyspace, whatever the configuration calls them. */
  readonly unsharded: readonly Occurrence[];
  readonly system: readonly Occurrence[];
}

/** Tables of one keyspace. */
export interface Placement extends Tables {
  /** Null: no user table. */
  readonly keyspace: Keyspace | null;
}

/**
 * Sorts the tables of a statement; refuses what no shard has together, and tables that the planner
 * cannot follow.
 */
export function placementOf(analysis: Analysis): Placement {
  const users = analysis.occurrences.filter(({ table }) => table !== null);
  const first = users[0];
  const keyspace = first?.table?.keyspace ?? null;
  const stranger = users.find(({ table }) => table!.keyspace !== keyspace);
  if (first !== undefined && stranger !== undefined) refuseKeyspaces(first, stranger);
  return { keyspace, ...tablesOf(analysis) };
}

/** Sorts the tables of a statement, of any keyspaces; refuses those that cannot be followed. */
export function tablesOf(analysis: Analysis): Tables {
  const sharded: ShardedOccurrence[] = [];
  const reference: Occurrence[] = [];
  const unsharded: Occurrence[] = [];
  const system: Occurrence[] = [];
  for (const occurrence of analysis.occurrences) {
    const { table } = occurrence;
    if (table === null) {
      system.push(occurrence);
      continue;
    }
    if (!table.keyspace.sharded) unsharded.push(occurrence);
    else if (table.type === 'sharded') {
      checkSharded(occurrence, table, analysis);
      sharded.push({ ...occurrence, table });
    } else if (table.type === 'reference') reference.push(occurrence);
    else {
      refuse(
        `${table.type === 'sequence' ? 'sequence' : 'unsharded table'} "${table.name}" is configured in the sharded keyspace "${table.keyspace.name}"`,
        'Configure it in an unsharded keyspace.',
      );
    }
    if (table.keyspace.sharded || occurrence.written) checkReadable(occurrence, analysis);
  }
  assertFunctionsReach(analysis);
  if (analysis.meetsOthers) assertLocksMeet([...sharded, ...reference, ...unsharded], analysis);
  return { sharded, reference, unsharded, system };
}

/** All sessions must take advisory locks, and notify, on one server. */
function assertLocksMeet(users: readonly Occurrence[], analysis: Analysis): void {
  const { catalogShard } = analysis.names.topology;
  const elsewhere = users.some(({ table }) => {
    const { sharded, shards } = table!.keyspace;
    return sharded || shards[0] !== catalogShard;
  });
  if (!elsewhere) return;
  refuse(
    'advisory locks and pg_notify in statements that use tables of other shards are not supported',
    'Call them in a SELECT without FROM, so that all sessions meet at one place.',
  );
}

/** What functions use is on one server, and so must everything else be. */
function assertFunctionsReach({ occurrences }: Analysis): void {
  const inside = occurrences.find(({ inFunction }) => inFunction === true);
  if (inside === undefined) return;
  const home = inside.table!.keyspace;
  const stranger = occurrences.find(({ table }) => table !== null && table.keyspace !== home);
  if (stranger === undefined) return;
  refuse(
    `a function that uses table "${inside.relation.name}" beside table "${stranger.relation.name}" ` +
      `of keyspace "${stranger.table!.keyspace.name}" is not supported`,
    'Call the function in a statement of its own.',
  );
}

function refuseKeyspaces(a: Occurrence, b: Occurrence): never {
  refuse(
    `tables "${a.relation.name}" (keyspace "${a.table!.keyspace.name}") and "${b.relation.name}" ` +
      `(keyspace "${b.table!.keyspace.name}") in one statement are not supported`,
    'Query them one after the other, or make the smaller one a reference table of the other keyspace.',
  );
}

function checkSharded(occurrence: Occurrence, table: ShardedTable, analysis: Analysis): void {
  const { relation } = occurrence;
  for (const [place, name] of table.keyColumns.entries()) {
    checkKeyColumn(relation, table, place, name);
  }
  const parentOf = `${relation.schema}.${relation.name}`;
  if (relation.kind === 'r' && inheritanceParents(analysis).has(parentOf)) {
    refuse(
      `table "${table.name}" has inheritance children, whose rows have shard keys of their own`,
      'Use declarative partitioning, or shard the children one by one.',
    );
  }
}

function checkKeyColumn(
  { columns }: CatalogRelation,
  table: ShardedTable,
  place: number,
  name: string,
): void {
  const column = columns.find((candidate) => candidate.name === name);
  if (column === undefined) {
    refuse(
      `table "${table.name}" has no column "${name}", its configured shard key`,
      'Correct shard_key in the configuration or the table.',
    );
  }
  const reason = keyColumnRefusal(table, place, column.type);
  if (reason !== null) {
    refuse(
      `column "${table.name}.${name}" cannot be the shard key: ${reason}`,
      'Choose another column or column type.',
    );
  }
  if (!column.deterministicCollation) {
    refuse(
      `shard key "${table.name}.${name}" has a nondeterministic collation, under which equal values differ in their bytes`,
      'Give the column a deterministic collation.',
    );
  }
}

function checkReadable(occurrence: Occurrence, { names, parser }: Analysis): void {
  const { relation, written, table } = occurrence;
  if (relation.hasReadingPolicies === true) {
    refuse(
      `table "${relation.name}" has row security policies that read tables or call functions`,
      'Use policies that compute from the row and from settings only.',
    );
  }
  if (!written || table === null) return;
  const problem = writeProblem(relation, table, names, parser);
  if (problem !== null) refuse(problem, 'Drop it, or write to its tables in the application.');
}

/** What a view's own sub-selects need is not brought to where the view is written. */
export function refuseLookingAround({ through }: Occurrence): void {
  if (through?.looksAround !== true) return;
  refuse(
    `view "${through.relation.name}", whose definition has sub-selects, cannot be written with rows of several shards`,
    'Bind the shard key, or write to its table.',
  );
}

const parentsByCatalog = new WeakMap<object, ReadonlySet<string>>();

/** Plain tables that others inherit from, as `schema.name`. */
function inheritanceParents(analysis: Analysis): ReadonlySet<string> {
  const { catalog } = analysis.names;
  const known = parentsByCatalog.get(catalog);
  if (known !== undefined) return known;
  const parents = new Set<string>();
  for (const relation of catalog.relations.values()) {
    if (relation.parent !== null) parents.add(relation.parent);
  }
  parentsByCatalog.set(catalog, parents);
  return parents;
}

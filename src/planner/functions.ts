import type { FuncCall } from '@pgsql/types';
import type { Catalog } from '../keyspace/catalog.js';
import type { Analysis, Place } from './analysis.js';
import { qualifiedName } from './ast.js';
import { inspectBuiltin } from './builtin-calls.js';
import {
  catalogFunctions,
  differsByShard,
  extensionFunctions,
  harmlessVolatile,
  readsNamedTables,
} from './builtin-functions.js';
import { useFunction } from './function-use.js';
import { Entry, type Level } from './model.js';
import { refuse } from './refusals.js';
import { sequenceArgument } from './sequence-names.js';
import { recordSetting } from './setting-calls.js';

/**
 * Whether a function of this name only computes, from its arguments, settings and the time. `equally`:
 * the same value on every shard and at any moment of a statement.
 */
export function onlyComputes(name: string, catalog: Catalog, equally: boolean): boolean {
  const overloads = catalog.functions.get(name) ?? [];
  if (overloads.some(({ volatility }) => volatility !== 'i')) return false;
  if (readsNamedTables.test(name) || catalogFunctions.test(name)) return false;
  if (catalog.volatileBuiltins.has(name)) return !equally && harmlessVolatile.has(name);
  return !equally || !differsByShard.test(name);
}

/**
 * Learns what a call does beyond computing a value, and refuses what a shard alone cannot answer.
 * Sets the level's aggregate and window flags.
 */
export function inspectFunction(call: FuncCall, place: Place, analysis: Analysis): void {
  if (analysis.replaced.has(call)) return;
  const { schema, name } = qualifiedName(call.funcname);
  const { catalog } = analysis.names;
  const overloads = analysis.names.userFunctions(schema, name);
  const aggregate =
    catalog.aggregates.has(name) || overloads.some((overload) => overload.kind === 'a');
  if (call.over !== undefined) place.scope.level.windows = true;
  else if (aggregate || call.agg_within_group === true) place.scope.level.aggregates = true;
  inspectName(schema, name, place.scope.level, analysis);
  if (overloads.length > 0 || (schema !== null && schema !== 'pg_catalog')) return;
  if (name === 'nextval' || name === 'setval') useSequence(name, call, place, analysis);
  else if (name === 'set_config') recordSetting(call, analysis);
}

/**
 * Whether a call is an aggregate, so that its arguments belong to another level than they stand at.
 */
export function isAggregate(call: FuncCall, analysis: Analysis): boolean {
  const { schema, name } = qualifiedName(call.funcname);
  return (
    analysis.names.catalog.aggregates.has(name) ||
    call.agg_within_group === true ||
    analysis.names.userFunctions(schema, name).some((overload) => overload.kind === 'a')
  );
}

/**
 * The checks that need the name only: calls written `row.function` reach functions too.
 * @param level where it is called; null: unknown
 */
export function inspectName(
  schema: string | null,
  name: string,
  level: Level | null,
  analysis: Analysis,
): void {
  for (const overload of analysis.names.userFunctions(schema, name)) {
    if (overload.takes?.includes(0) === true) analysis.tellsDomains = true;
    if (overload.volatility === 'i') continue;
    analysis.volatileFunction ??= name;
    if (overload.language === 'c' && extensionFunctions.test(name)) continue;
    useFunction(overload, level, analysis);
  }
  if (schema !== null && schema !== 'pg_catalog' && schema !== 'information_schema') return;
  if (schema === null && isUserMade(name, analysis)) return;
  inspectBuiltin(name, analysis);
}

function isUserMade(name: string, analysis: Analysis): boolean {
  const { catalog } = analysis.names;
  return !catalog.volatileBuiltins.has(name) && analysis.names.userFunctions(null, name).length > 0;
}

/**
 * nextval('seq'): the sequence must be a constant, and it counts as a table that the statement
 * uses.
 */
function useSequence(name: string, call: FuncCall, place: Place, analysis: Analysis): void {
  const path = sequenceArgument(call, analysis.constants, analysis.names);
  if (path === null) {
    refuse(
      `function "${name}" is only supported with a constant sequence name`,
      `Write ${name}('sequence_name').`,
    );
  }
  const found = analysis.names.relation({
    ...(path.schema === null ? {} : { schemaname: path.schema }),
    relname: path.name,
  });
  if (found.kind === 'unknown') {
    analysis.unknownRelations.push({ relname: path.name });
    return;
  }
  if (found.kind === 'table' && found.table.type !== 'sequence' && found.table.keyspace.sharded) {
    refuse(
      `sequence "${path.name}" lives on every shard of keyspace "${found.table.keyspace.name}", which would give equal values`,
      'Name it as a sequence of an unsharded keyspace in the configuration.',
    );
  }
  const entry = new Entry(place.scope.level, 'opaque', path.name);
  analysis.occurrences.push({
    entry,
    relation: found.relation,
    table: found.kind === 'table' ? found.table : null,
    written: true,
  });
}

/**
 * Marks the levels that an aggregate over outer columns really belongs to (PostgreSQL 18, 4.2.7).
 */
export function assignAggregate(own: Level, levels: ReadonlySet<Level>): void {
  if (levels.size === 0 || levels.has(own)) return;
  for (const level of levels) level.aggregates = true;
}

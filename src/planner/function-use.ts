import type { CatalogFunction, CatalogRelation } from '../keyspace/catalog.js';
import type { Keyspace } from '../keyspace/topology.js';
import type { Analysis } from './analysis.js';
import { inspectBuiltin } from './builtin-calls.js';
import { functionReach, type Reach } from './function-reach.js';
import { Entry, type Level } from './model.js';
import { refuse } from './refusals.js';

/**
 * A call of a function of the user that is not IMMUTABLE. One that touches no table may run on any
 * shard; one that touches tables of one unsharded keyspace counts as their use.
 * @param level where it is called; null: unknown
 */
export function useFunction(
  called: CatalogFunction,
  level: Level | null,
  analysis: Analysis,
): void {
  const reach = functionReach(called, analysis.names.catalog);
  if (typeof reach === 'string') refuseFunction(called, reach);
  if (reach.tellsMoment) analysis.tellsMoment.add(called.name);
  const writes = called.volatility === 'v';
  const problem = useReach(reach, writes, `function "${called.name}"`, level, analysis);
  if (problem !== null) refuseFunction(called, problem);
}

/**
 * Counts what some code touches among what the statement does; a string tells why it may not, as the
 * end of a sentence about the code.
 * @param subject the code, for messages
 */
export function useReach(
  reach: Reach,
  writes: boolean,
  subject: string,
  level: Level | null,
  analysis: Analysis,
): string | null {
  const { names } = analysis;
  const temporary = [...reach.words].find((word) => names.temporary({ relname: word }) !== null);
  if (temporary !== undefined) return `uses "${temporary}", the name of a temporary table`;
  const [first] = reach.relations;
  if (first !== undefined && level === null) return `uses table "${first.name}"`;
  for (const call of reach.calls) inspectBuiltin(call, analysis);
  if (reach.readsCatalog) analysis.readsCatalog = true;
  let { hidden } = reach;
  const homes = new Set<Keyspace>();
  for (const relation of reach.relations) {
    hidden ??= hiddenUse(relation, writes);
    if (relation.kind === 'v' || relation.kind === 'm') continue;
    const home = homeOf(relation, analysis);
    if (typeof home === 'string') return home;
    homes.add(home);
    analysis.occurrences.push({
      entry: new Entry(level!, 'opaque', relation.name),
      relation,
      table: { type: 'unsharded', keyspace: home, schema: relation.schema, name: relation.name },
      written: writes,
      inFunction: true,
    });
  }
  if (homes.size > 1) return 'uses tables of several keyspaces';
  if (hidden !== null) {
    names.hidden ??= { subject, reason: hidden };
    // Where all that is hidden must be.
    analysis.readsCatalog = true;
  }
  if (writes && (homes.size > 0 || hidden !== null)) {
    analysis.writes = true;
    names.touched.add('nextval');
  }
  return null;
}

/** Why the use of a relation may reach further than to its own rows; null: it does not. */
function hiddenUse(relation: CatalogRelation, writes: boolean): string | null {
  const { name, kind } = relation;
  if (kind === 'v' || kind === 'm') return `uses view "${name}"`;
  if (relation.hasReadingPolicies === true) return `uses table "${name}", which has policies`;
  if (!writes) return null;
  if (relation.hasTriggersOrRules && relation.triggers === undefined) {
    return `uses table "${name}", which has rules`;
  }
  const calls = relation.columns.some(({ defaultKind }) => defaultKind === 'function');
  return calls ? `uses table "${name}", which has defaults that call functions` : null;
}

/** The unsharded keyspace of a relation, or why there is none. */
function homeOf(relation: CatalogRelation, { names }: Analysis): Keyspace | string {
  const { name, kind } = relation;
  if (kind === 'S') {
    const home = names.sequenceHome(relation);
    const keyspace = names.topology.keyspaces.find((one) => one.name === home.keyspace)!;
    return keyspace.sharded ? `uses sequence "${name}"` : keyspace;
  }
  if (kind !== 'r' && kind !== 'p') return `uses "${name}", which is no table`;
  const { keyspace } = names.tableOf(relation);
  return keyspace.sharded ? `uses table "${name}" of a sharded keyspace` : keyspace;
}

function refuseFunction({ name }: CatalogFunction, problem: string): never {
  refuse(
    `function "${name}" is not supported: it ${problem}`,
    'Declare it IMMUTABLE if it only computes from its arguments, or run its statements one by one.',
  );
}

import type { CreateTrigStmt } from '@pgsql/types';
import type { TriggerFunction } from '../../keyspace/catalog.js';
import { qualifiedName } from '../ast.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { triggerProblem } from './table-triggers.js';
import { hiddenProblem, relationsElsewhere } from './trigger-reach.js';

/**
 * Refuses triggers that might do anything else than on one server. What their functions do is looked
 * at again with each write, since a function may be replaced.
 */
export function checkCreateTrigger(statement: CreateTrigStmt, { names }: StatementContext): void {
  const { relation: range, trigname = '' } = statement;
  const relation = names.find(range?.schemaname ?? null, range?.relname ?? '');
  const called = functionOf(statement, names.catalog.functions);
  // PostgreSQL says what does not exist.
  if (relation === null || called === null) return;
  if (!'rp'.includes(relation.kind)) {
    refuse(`a trigger on "${relation.name}", which is no table, is not supported`, HINTS.unsharded);
  }
  const table = names.tableOf(relation);
  const { sharded } = table.keyspace;
  const problem = sharded
    ? triggerProblem(statement, called, table, names)
    : (relationsElsewhere(called, table, names) ?? hiddenProblem(called, table, names));
  if (problem === null) return;
  refuse(
    `trigger "${trigname}" on table "${relation.name}" is not supported: its function "${called.name}" ${problem}`,
    sharded ? HINTS.sharded : HINTS.unsharded,
  );
}

const HINTS = {
  sharded:
    'There a trigger FOR EACH ROW may set columns of NEW (not the shard key), raise errors and return NEW.',
  unsharded: "There a trigger's function may use the tables of its own keyspace.",
};

const builtins = new Set([
  'suppress_redundant_updates_trigger',
  'tsvector_update_trigger',
  'tsvector_update_trigger_column',
]);

/** Null: it does not exist. */
function functionOf(
  { funcname }: CreateTrigStmt,
  functions: StatementContext['names']['catalog']['functions'],
): TriggerFunction | null {
  const { schema, name } = qualifiedName(funcname);
  const found = (functions.get(name) ?? []).find(
    (each) => each.triggerSource !== undefined && (schema === null || each.schema === schema),
  );
  if (found !== undefined) return { ...found, source: found.triggerSource! };
  if ((schema ?? 'pg_catalog') !== 'pg_catalog' || !builtins.has(name)) return null;
  return { schema: 'pg_catalog', name, language: 'internal', source: '' };
}

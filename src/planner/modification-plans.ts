import type { DeleteStmt, MergeStmt, UpdateStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { checkDefaults } from './column-defaults.js';
import { refuseSystemTable } from './inserts.js';
import { keyChange, onOneShard } from './key-changes.js';
import {
  analyseDelete,
  analyseMerge,
  analyseUpdate,
  refuseNewKey,
  type Modification,
} from './modifications.js';
import { placementOf } from './placement.js';
import type { Plan } from './plan.js';
import { routePlan } from './plans.js';
import { planReferenceWrite } from './reference-writes.js';
import { refusal, refuse } from './refusals.js';
import { routeModification, routeToOne, routeUnknown, type Route } from './routing.js';
import { analyse, type StatementContext } from './statement-context.js';

export function planUpdate(statement: UpdateStmt, context: StatementContext): Plan {
  const [analysis, modification] = analyse(context, (walk) =>
    analyseUpdate(statement, null, null, walk),
  );
  return planModification('update', modification, analysis, context);
}

export function planDelete(statement: DeleteStmt, context: StatementContext): Plan {
  const [analysis, modification] = analyse(context, (walk) =>
    analyseDelete(statement, null, null, walk),
  );
  return planModification('delete', modification, analysis, context);
}

/** MERGE runs within one unsharded keyspace. */
export function planMerge(statement: MergeStmt, context: StatementContext): Plan {
  const [analysis, modification] = analyse(context, (walk) =>
    analyseMerge(statement, null, null, walk),
  );
  const unknown = routeUnknown(analysis);
  if (unknown !== null || modification === null) return routePlan('merge', true, unknown!);
  const { table, relation } = modification.target;
  if (table === null) refuseSystemTable(relation.name);
  const hint = 'Use INSERT ... ON CONFLICT, or UPDATE and INSERT, each with the shard key.';
  if (table.keyspace.sharded) {
    refuse(`MERGE into table "${relation.name}" of a sharded keyspace is not supported`, hint);
  }
  return routePlan('merge', true, routeToOne(analysis, refusal('MERGE is not supported', hint)));
}

function planModification(
  verb: string,
  modification: Modification | null,
  analysis: Analysis,
  context: StatementContext,
): Plan {
  const unknown = routeUnknown(analysis);
  if (unknown !== null || modification === null) return routePlan(verb, true, unknown!);
  const placement = placementOf(analysis);
  const { target, cursor, newKey } = modification;
  if (target.table === null) refuseSystemTable(target.relation.name);
  const { keyspace } = target.table;
  if (keyspace.sharded && target.table.type === 'reference') {
    if (cursor !== null) {
      refuse(
        `WHERE CURRENT OF on reference table "${target.relation.name}" is not supported`,
        'Name the row by its key, so that every copy is reached.',
      );
    }
    return planReferenceWrite(verb, target, placement, analysis, context);
  }
  checkDefaults(analysis);
  if (cursor === null) {
    const route = routeModification(target, analysis);
    const moves = newKey === null ? null : keyChange(newKey, target, analysis);
    return routePlan(verb, true, moves === null ? route : onOneShard(route, moves, target));
  }
  if (newKey !== null) refuseNewKey(target);
  return {
    ...routePlan(verb, true, cursorRoute(modification, analysis)),
    cursor: { action: 'use', name: cursor },
  };
}

/** The statement follows its cursor to the shard that holds the current row. */
function cursorRoute(modification: Modification, analysis: Analysis): Route {
  const { keyspace } = modification.target.table!;
  const many = {
    kind: 'refuse',
    refusal: refusal(
      'WHERE CURRENT OF over several shards is not supported',
      'Declare the cursor for one shard key.',
    ),
  } as const;
  if (!keyspace.sharded) return routeModification(modification.target, analysis);
  if (placementOf(analysis).sharded.length > 1 || analysis.nestedWrites > 0) {
    refuse(
      'WHERE CURRENT OF together with other sharded tables is not supported',
      'Change the row by a condition on its shard key.',
    );
  }
  return { shards: { kind: 'any', keyspace }, many };
}

import type { DeleteStmt, MergeStmt, Node, UpdateStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { checkDefaults } from './column-defaults.js';
import { distributeMerge } from './distribute/merged-rows.js';
import { refuseSystemTable } from './inserts.js';
import { keyChange, routeKeyChange } from './key-changes.js';
import {
  analyseDelete,
  analyseMerge,
  analyseUpdate,
  refuseNewKey,
  type Modification,
} from './modifications.js';
import type { Occurrence } from './model.js';
import { moveQuery } from './moves/move-query.js';
import { placementOf, refuseLookingAround, tablesOf, type ShardedOccurrence } from './placement.js';
import type { Plan } from './plan.js';
import { routePlan } from './plans.js';
import { planReferenceWrite } from './reference-writes.js';
import { refusal, refuse } from './refusals.js';
import {
  keyspacesOf,
  routeModification,
  routeToOne,
  routeUnknown,
  whenNeeded,
  type Route,
} from './routing.js';
import { spreadQuery } from './spread/spread-query.js';
import { analyse, type StatementContext } from './statement-context.js';

export function planUpdate(statement: UpdateStmt, context: StatementContext): Plan {
  const [analysis, modification] = analyse(context, (walk) =>
    analyseUpdate(statement, null, null, walk),
  );
  return planModification('update', { UpdateStmt: statement }, modification, analysis, context);
}

export function planDelete(statement: DeleteStmt, context: StatementContext): Plan {
  const [analysis, modification] = analyse(context, (walk) =>
    analyseDelete(statement, null, null, walk),
  );
  return planModification('delete', { DeleteStmt: statement }, modification, analysis, context);
}

/** MERGE within one unsharded keyspace runs as it stands; else its source is read and distributed. */
export function planMerge(statement: MergeStmt, context: StatementContext): Plan {
  const [analysis, merging] = analyse(context, (walk) => analyseMerge(statement, null, null, walk));
  const unknown = routeUnknown(analysis);
  if (unknown !== null || merging === null) return routePlan('merge', true, unknown!);
  const { table, relation } = merging.target;
  if (table === null) refuseSystemTable(relation.name);
  const problem = refusal(
    `MERGE into table "${relation.name}" in this statement is not supported`,
    'Run it as a statement of its own.',
  );
  tablesOf(analysis);
  if (!table.keyspace.sharded && keyspacesOf(analysis).size === 1) {
    return routePlan('merge', true, routeToOne(analysis, problem));
  }
  if (!context.scatters) refuse(problem.message, problem.hint);
  checkDefaults(analysis);
  refuseLookingAround(merging.target);
  const distribute = distributeMerge(statement, merging, analysis, context);
  return routePlan('merge', true, {
    shards: { kind: 'nowhere' },
    many: { kind: 'distribute', distribute },
  });
}

function planModification(
  verb: string,
  statement: Node,
  modification: Modification | null,
  analysis: Analysis,
  context: StatementContext,
): Plan {
  const unknown = routeUnknown(analysis);
  if (unknown !== null || modification === null) return routePlan(verb, true, unknown!);
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
    return planReferenceWrite(verb, target, placementOf(analysis), analysis, context);
  }
  checkDefaults(analysis);
  if (cursor === null) {
    const route = routeModification(target, analysis, context, (tables) =>
      spreadQuery(statement, target, tables, analysis, context),
    );
    const change = newKey === null ? null : keyChange(newKey, target, analysis);
    if (change === null || !('UpdateStmt' in statement)) return routePlan(verb, true, route);
    // A shard that is wished for: nobody knows which of its rows would have to leave.
    if (route.shards.kind === 'shard') refuseNewKey(target);
    const moving = routeKeyChange(route, change, target, (own, shards) =>
      whenNeeded(own, analysis, context, () => {
        refuseViewOfKey(target);
        const update = { statement: statement.UpdateStmt, change, shards };
        const move = moveQuery({ ...update, target: target as ShardedOccurrence }, context);
        return { kind: 'move', move };
      }),
    );
    return routePlan(verb, true, moving);
  }
  if (newKey !== null) refuseNewKey(target);
  return {
    ...routePlan(verb, true, cursorRoute(modification, analysis)),
    cursor: { action: 'use', name: cursor },
  };
}

/** What happens to the row's old and new places is said of the table itself. */
function refuseViewOfKey({ through, relation }: Occurrence): void {
  if (through === undefined) return;
  refuse(
    `changing the shard key of table "${relation.name}" through view "${through.relation.name}" to that of another shard is not supported`,
    'UPDATE the table itself.',
  );
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
  const placement = placementOf(analysis);
  if (!keyspace.sharded) return { shards: { kind: 'shard', shard: keyspace.shards[0]! }, many };
  if (placement.sharded.length > 1 || analysis.nestedWrites > 0) {
    refuse(
      'WHERE CURRENT OF together with other sharded tables is not supported',
      'Change the row by a condition on its shard key.',
    );
  }
  return { shards: { kind: 'any', keyspace }, many };
}

import type { InsertStmt, Node } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { checkDefaults } from './column-defaults.js';
import { valueOf } from './key-values.js';
import { planFill } from './insert-fills.js';
import { analyseInsert, type Insertion } from './insertions.js';
import { placementOf, type Placement, type ShardedOccurrence } from './placement.js';
import type { InsertSplitPlan, KeyTerm, Plan, Refusal } from './plan.js';
import { routePlan } from './plans.js';
import { planReferenceWrite } from './reference-writes.js';
import { refusal, refuse } from './refusals.js';
import { routeToOne, routeUnknown } from './routing.js';
import { findRows, type RowSpan } from './row-spans.js';
import { analyse, type StatementContext } from './statement-context.js';
import { inputTypeOf, keyTerm } from './terms.js';

/** Plans an INSERT by the kind of its target table. */
export function planInsert(statement: InsertStmt, context: StatementContext): Plan {
  const [analysis, insertion] = analyse(context, (walk) =>
    analyseInsert(statement, null, null, walk),
  );
  const unknown = routeUnknown(analysis);
  if (unknown !== null || insertion === null) return routePlan('insert', true, unknown!);
  const placement = placementOf(analysis);
  const { target } = insertion;
  if (target.table === null) refuseSystemTable(target.relation.name);
  const fill = planFill(statement, insertion, context);
  if (fill !== null) return fill;
  if (!target.table.keyspace.sharded) {
    return routePlan('insert', true, routeToOne(analysis, selectReason(target.table.name)));
  }
  if (target.table.type === 'reference') {
    return planReferenceWrite('insert', target, placement, analysis, context);
  }
  const sharded = placement.sharded.find((occurrence) => occurrence.entry === target.entry)!;
  checkKeyColumn(statement, insertion, sharded);
  checkDefaults(analysis);
  const others = placement.sharded.length > 1 || placement.system.length > 0;
  if (insertion.rows === null || others || analysis.nestedWrites > 0) {
    return routePlan('insert', true, routeToOne(analysis, selectReason(sharded.table.name)));
  }
  return splitRows(insertion, sharded, placement, analysis, context);
}

export function refuseSystemTable(name: string): never {
  refuse(
    `changing system catalog "${name}" is not supported`,
    'System catalogs belong to each server; use DDL.',
  );
}

function selectReason(table: string): Refusal {
  return refusal(
    `INSERT into table "${table}" from a query over several shards is not supported`,
    'Bind the query and the inserted shard key to one key value, or read the rows and insert them as VALUES.',
  );
}

function checkKeyColumn(
  statement: InsertStmt,
  insertion: Insertion,
  target: ShardedOccurrence,
): void {
  const { name, shardKey } = target.table;
  const column = target.relation.columns.find((candidate) => candidate.name === shardKey)!;
  if (column.generated) {
    refuse(
      `shard key "${name}.${shardKey}" is a generated column, so the proxy cannot see its value`,
      'Choose an ordinary column as the shard key.',
    );
  }
  if (column.identity !== '' && statement.override === 'OVERRIDING_USER_VALUE') {
    refuse(
      `OVERRIDING USER VALUE on shard key "${name}.${shardKey}" is not supported`,
      'Give the value and use OVERRIDING SYSTEM VALUE.',
    );
  }
  const place = insertion.columns.indexOf(shardKey);
  const short = insertion.rows?.some((row) => row.length <= place) ?? false;
  const missing = insertion.rows === null && insertion.select === null;
  if (place < 0 || short || missing) refuseMissingKey(name, shardKey);
}

function refuseMissingKey(table: string, shardKey: string): never {
  refuse(
    `INSERT into table "${table}" gives no value for its shard key "${shardKey}"`,
    `Name "${shardKey}" among the columns and give a constant or parameter for it.`,
  );
}

function splitRows(
  insertion: Insertion,
  target: ShardedOccurrence,
  placement: Placement,
  analysis: Analysis,
  context: StatementContext,
): InsertSplitPlan {
  const rows = insertion.rows!;
  const place = insertion.columns.indexOf(target.table.shardKey);
  if (analysis.effect !== null || analysis.readsCatalog) {
    refuse(
      `INSERT into table "${target.table.name}" with values that describe the server is not supported`,
      'Query them first, then insert constants.',
    );
  }
  const spans = rowSpans(rows.length, context);
  return {
    kind: 'insertSplit',
    verb: 'insert',
    writes: true,
    keyspace: placement.keyspace!,
    table: target.table.name,
    rows: rows.map((row, index) => ({
      start: context.constants.position(spans[index]!.start),
      end: context.constants.position(spans[index]!.end),
      key: insertedKey(row[place]!, target, analysis),
    })),
    manyRefusal: insertion.returning
      ? refusal(
          `RETURNING of rows inserted into several shards of table "${target.table.name}" is not supported`,
          'Insert rows of one shard key at a time, or leave out RETURNING.',
        )
      : null,
  };
}

function rowSpans(count: number, context: StatementContext): readonly RowSpan[] {
  const { bytes, textStart, start, end, literals } = context;
  const spans = findRows(bytes, textStart, start, end, literals);
  if (spans?.length === count) return spans;
  // One row is never cut out of its text, so that its place does not matter.
  if (count === 1) return [{ start, end }];
  return refuse(
    'the rows of this INSERT cannot be told apart in its text',
    'Insert the rows one by one, or in plainer notation.',
  );
}

function insertedKey(cell: Node, target: ShardedOccurrence, analysis: Analysis): KeyTerm {
  const { name, shardKey } = target.table;
  if ('SetToDefault' in cell) refuseMissingKey(name, shardKey);
  const value = valueOf(cell, analysis);
  if (value === null) {
    refuse(
      `the value of shard key "${name}.${shardKey}" is an expression`,
      'Give a constant or a parameter, so that the row can be routed.',
    );
  }
  const inputType = inputTypeOf(value, analysis.keyOf(target)!, analysis);
  const term = inputType === null ? null : keyTerm(value, inputType, target, true);
  if (term !== null) return term;
  return refuse(
    `the type of the value for shard key "${name}.${shardKey}" cannot be told or mapped`,
    `Cast the value to the column's type.`,
  );
}

import type { AlterTableStmt, DropStmt, Node, RangeVar, RenameStmt } from '@pgsql/types';
import type { Lookup } from '../keyspace/topology.js';
import { qualifiedName } from './ast.js';
import { subjectOf } from './ddl-subject.js';
import type { ChangedTable } from './lookups.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/*
 * Triggers of a statement tell what it has changed. They are on the table that the configuration names:
 * they see neither what is written to a partition by its own name, nor what DDL makes of rows.
 */

const LEAVE_OUT =
  'Take the lookup out of the configuration, change the table, and put it back: it is built anew.';

/** Refuses to change rows past a lookup's triggers. */
export function refusePartWrite(changed: Iterable<ChangedTable>): void {
  for (const { table, relation } of changed) {
    const lookup = table.type === 'sharded' ? table.lookups?.[0] : undefined;
    if (lookup === undefined || relation.parent === null) continue;
    if (lookup.table === relation.name && lookup.schema === relation.schema) continue;
    refuse(
      `changing partition "${relation.name}" by its own name is not supported: table "${lookup.table}" has lookups`,
      `Write to table "${lookup.table}".`,
    );
  }
}

/** Refuses DDL that would change values of columns with lookups, or take rows to their table or from it. */
export function checkLookupDdl(node: Node, context: StatementContext): void {
  if (context.names.topology.lookups.length === 0) return;
  if ('AlterTableStmt' in node) checkAlter(node.AlterTableStmt, context);
  if ('RenameStmt' in node) checkRename(node.RenameStmt, context);
  if ('DropStmt' in node) checkDrop(node.DropStmt, context);
}

function checkAlter({ relation, cmds }: AlterTableStmt, context: StatementContext): void {
  refuseIndex(relation, context);
  const lookups = lookupsOf(relation, context);
  if (lookups.length === 0) return;
  for (const cmd of cmds ?? []) {
    if (!('AlterTableCmd' in cmd)) continue;
    const { subtype = '', name } = cmd.AlterTableCmd;
    if (/^AT_(Attach|Detach)Partition$/.test(subtype)) {
      refuse(
        `this ALTER TABLE is not supported: table "${relation?.relname ?? ''}" has lookups, which would not follow the rows`,
        LEAVE_OUT,
      );
    }
    if (/^AT_(DropColumn|AlterColumnType|SetExpression)$/.test(subtype))
      refuseColumn(name, lookups);
  }
}

function checkRename(
  { relation, renameType, subname }: RenameStmt,
  context: StatementContext,
): void {
  refuseIndex(relation, context);
  if (renameType === 'OBJECT_COLUMN') refuseColumn(subname, lookupsOf(relation, context));
}

function checkDrop({ removeType, objects }: DropStmt, context: StatementContext): void {
  if (removeType !== 'OBJECT_TABLE') return;
  for (const object of objects ?? []) {
    if (!('List' in object)) continue;
    const { schema, name } = qualifiedName(object.List.items);
    const range: RangeVar = { relname: name, ...(schema === null ? {} : { schemaname: schema }) };
    refuseIndex(range, context);
    const unique = lookupsOf(range, context).find((lookup) => lookup.unique);
    const found = context.names.find(schema, name);
    if (unique === undefined || found === null || found.parent === null) continue;
    refuse(
      `dropping partition "${name}" is not supported: table "${unique.table}" has a unique lookup, which would keep its values`,
      `DELETE its rows from table "${unique.table}" first, and take the lookup out of the configuration meanwhile.`,
    );
  }
}

function refuseColumn(column: string | undefined, lookups: readonly Lookup[]): void {
  const lookup = lookups.find((candidate) => candidate.column === column);
  if (lookup === undefined) return;
  refuse(
    `changing column "${lookup.column}" of table "${lookup.table}" is not supported: it has a lookup`,
    LEAVE_OUT,
  );
}

/** The table that is kept for a lookup is Shardgate's. */
function refuseIndex(range: RangeVar | undefined, { names }: StatementContext): void {
  const found = names.find(range?.schemaname ?? null, range?.relname ?? '');
  if (found === null) return;
  const lookup = names.topology.lookups.find(
    ({ index }) => index.schema === found.schema && index.name === found.name,
  );
  if (lookup === undefined) return;
  refuse(
    `table "${found.name}" is kept by Shardgate for column "${lookup.column}" of table "${lookup.table}"`,
    'Take the lookup out of the configuration first.',
  );
}

/** Of a table, or of the one that it is a partition of. */
function lookupsOf(range: RangeVar | undefined, context: StatementContext): readonly Lookup[] {
  const { table } = subjectOf(range, context);
  return table?.type === 'sharded' ? (table.lookups ?? []) : [];
}

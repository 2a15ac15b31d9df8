import type { AlterTableStmt, ColumnDef, Constraint, Node } from '@pgsql/types';
import type { Table } from '../keyspace/topology.js';
import { deparse } from '../sql/deparse.js';
import { bodyOf, contains, qualifiedName } from './ast.js';
import { differsByShard } from './builtin-functions.js';
import { countsUp } from './ddl-notices.js';
import { rangeSql } from './ddl-steps.js';
import { subjectOf } from './ddl-subject.js';
import { fillPlan, type Edit } from './fill-plan.js';
import { momentEdits, tellsTime } from './moment-calls.js';
import type { AddedColumns, Refusal } from './plan.js';
import { refusal } from './refusals.js';
import type { StatementContext } from './statement-context.js';

interface Outcome {
  /** Why the ALTER TABLE can only be run while the table has no rows; null: it can always. */
  readonly problem: Refusal | null;
  /** Null: the shards run the statement as it stands. */
  readonly added: AddedColumns | null;
}

/**
 * Columns that an ALTER TABLE adds get their values where the rows are, as each shard makes them by itself. That must
 * do what one server would: rows of all shards are counted once, and have one time.
 */
export function addedColumns(statement: AlterTableStmt, context: StatementContext): Outcome {
  const { relation, cmds } = statement;
  const { table } = subjectOf(relation, context);
  if (table?.keyspace.sharded !== true) return NOTHING;
  const found = context.names.find(relation?.schemaname ?? null, relation?.relname ?? '');
  const counted: string[] = [];
  const copied: string[] = [];
  const edits: Edit[] = [];
  const defaults: string[] = [];
  for (const node of cmds ?? []) {
    if (!('AlterTableCmd' in node) || node.AlterTableCmd.subtype !== 'AT_AddColumn') continue;
    const { def } = node.AlterTableCmd;
    if (def === undefined || !('ColumnDef' in def)) continue;
    const column = def.ColumnDef;
    const { colname = '' } = column;
    // IF NOT EXISTS, or an error.
    if (found?.columns.some(({ name }) => name === colname) === true) continue;
    const problem = problemOf(column, table, context);
    if (problem !== null) return { problem, added: null };
    if (countsUp(column)) counted.push(colname);
    const value = defaultOf(column);
    if (table.type === 'reference' && isCopied(column, value, context)) copied.push(colname);
    if (value === undefined || !tellsTime(value)) continue;
    const times = momentEdits(value, [], context);
    const own = setDefault(statement, colname, value, context);
    if (times.length === 0 || own === null)
      return { problem: changes(table, colname), added: null };
    edits.push(...times);
    defaults.push(own);
  }
  if (counted.length + copied.length + edits.length === 0) return NOTHING;
  const time = edits.length === 0 ? null : fillPlan('ddl', edits, context);
  const [source] = table.keyspace.shards;
  return {
    problem: null,
    added: { table: rangeSql(relation), counted, copied, source: source!, time, defaults },
  };
}

const NOTHING: Outcome = { problem: null, added: null };

/** Why a column cannot be added where the table has rows; null: it can. */
function problemOf(column: ColumnDef, table: Table, context: StatementContext): Refusal | null {
  const { colname = '' } = column;
  const value = defaultOf(column);
  const copies = table.type === 'reference';
  const asks = value !== undefined && callsAny(value, (name) => name === 'nextval');
  // Values are looked at before they are shifted; copies have the same ones, in another order.
  const looks = copies ? CHECKED_BY_ROW : CHECKED;
  const checks = constraintsOf(column).some(({ contype }) => looks.has(contype ?? ''));
  if (asks || (countsUp(column) && checks)) {
    return refusal(
      `adding column "${table.name}.${colname}" with values of a sequence is not supported where the table has rows: each shard would count them by itself`,
      'Add it without, fill it in, and then ALTER COLUMN ... ADD GENERATED or SET DEFAULT.',
    );
  }
  return value === undefined && !copies && isComputed(column, context)
    ? changes(table, colname)
    : null;
}

/** Whether copies of a table would have other values in the column. */
function isCopied(column: ColumnDef, value: Node | undefined, context: StatementContext): boolean {
  if (countsUp(column)) return true;
  return value === undefined ? isComputed(column, context) : differs(value, context);
}

/** Whether the column's type is a domain that has a default of its own, which each shard would compute. */
function isComputed({ typeName }: ColumnDef, { names }: StatementContext): boolean {
  const { name } = qualifiedName(typeName?.names);
  return names.catalog.computingDomains?.has(name) === true;
}

const CHECKED: ReadonlySet<string> = new Set([
  'CONSTR_FOREIGN',
  'CONSTR_CHECK',
  'CONSTR_UNIQUE',
  'CONSTR_PRIMARY',
]);

/** A CHECK may compare the value with others of its row. */
const CHECKED_BY_ROW: ReadonlySet<string> = new Set(['CONSTR_CHECK']);

function changes({ name }: Table, column: string): Refusal {
  return refusal(
    `adding column "${name}.${column}" of a sharded table with a default that changes is not supported where the table has rows: its shards would differ`,
    'Add it without, fill it in, and then SET DEFAULT.',
  );
}

function constraintsOf({ constraints = [] }: ColumnDef): Constraint[] {
  return constraints.flatMap((node) => ('Constraint' in node ? [node.Constraint] : []));
}

function defaultOf(column: ColumnDef): Node | undefined {
  return constraintsOf(column).find(({ contype }) => contype === 'CONSTR_DEFAULT')?.raw_expr;
}

/** Null: no text is certain to mean the same. */
function setDefault(
  { relation }: AlterTableStmt,
  name: string,
  def: Node,
  { parser }: StatementContext,
): string | null {
  const AlterTableCmd = {
    subtype: 'AT_ColumnDefault',
    name,
    def,
    behavior: 'DROP_RESTRICT',
  } as const;
  const cmds = [{ AlterTableCmd }];
  return deparse(
    { AlterTableStmt: { relation: relation!, cmds, objtype: 'OBJECT_TABLE' } },
    parser,
  );
}

const TIMES: ReadonlySet<string> = new Set(['now', 'transaction_timestamp', 'statement_timestamp']);

/** Whether a value may be another one on each shard, but for the time of the transaction. */
function differs(value: Node, { names }: StatementContext): boolean {
  const isUser = (node: Node): boolean =>
    'SQLValueFunction' in node && /USER|ROLE|CATALOG|SCHEMA/.test(node.SQLValueFunction.op ?? '');
  if (contains(value, 'SQLValueFunction', isUser)) return true;
  const { catalog } = names;
  return callsAny(value, (name) => {
    const overloads = catalog.functions.get(name) ?? [];
    if (overloads.some(({ volatility }) => volatility !== 'i')) return true;
    if (TIMES.has(name)) return false;
    return catalog.volatileBuiltins.has(name) || differsByShard.test(name);
  });
}

function callsAny(value: Node, test: (name: string) => boolean): boolean {
  return contains(value, 'FuncCall', (call) => {
    const { funcname } = bodyOf(call) as { funcname?: Node[] };
    return test(qualifiedName(funcname).name);
  });
}

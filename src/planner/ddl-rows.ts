import type { ColumnDef, Node, PartitionCmd } from '@pgsql/types';
import { keyList } from '../keyspace/key-columns.js';
import type { Table } from '../keyspace/topology.js';
import { bodyOf, contains, qualifiedName } from './ast.js';
import { differsByShard } from './builtin-functions.js';
import { countsUp } from './ddl-notices.js';
import { homeOf, subjectOf, type Subject } from './ddl-subject.js';
import type { Refusal } from './plan.js';
import { refusal, refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/**
 * A new column gets its values where the rows are, as each shard makes them by itself: why it cannot be added to a
 * table that has rows; null: it can.
 */
export function addedColumnProblem(
  column: ColumnDef,
  { table }: Subject,
  context: StatementContext,
): Refusal | null {
  if (table?.keyspace.sharded !== true) return null;
  const constraints = (column.constraints ?? []).flatMap((node) =>
    'Constraint' in node ? [node.Constraint] : [],
  );
  const given = constraints.find(({ contype }) => contype === 'CONSTR_DEFAULT')?.raw_expr;
  const counts =
    countsUp(column) || (given !== undefined && callsAny(given, (name) => name === 'nextval'));
  const name = `"${table.name}.${column.colname ?? ''}"`;
  if (counts) {
    return refusal(
      `adding column ${name} with values of a sequence is not supported where the table has rows: each shard would count them by itself`,
      'Add it without, fill it in, and then ALTER COLUMN ... ADD GENERATED or SET DEFAULT.',
    );
  }
  if (table.type !== 'reference' || given === undefined || !differs(given, context)) return null;
  return refusal(
    `adding column ${name} of a reference table with a default that changes is not supported where the table has rows: its copies would differ`,
    'Add it without, fill it in, and then SET DEFAULT.',
  );
}

/** Whether a value may be another one on each shard. */
function differs(value: Node, { names }: StatementContext): boolean {
  if (contains(value, 'SQLValueFunction')) return true;
  const { catalog } = names;
  return callsAny(value, (name) => {
    const overloads = catalog.functions.get(name) ?? [];
    if (overloads.some(({ volatility }) => volatility !== 'i')) return true;
    return catalog.volatileBuiltins.has(name) || differsByShard.test(name);
  });
}

function callsAny(value: Node, test: (name: string) => boolean): boolean {
  return contains(value, 'FuncCall', (call) => {
    const { funcname } = bodyOf(call) as { funcname?: Node[] };
    return test(qualifiedName(funcname).name);
  });
}

/**
 * ATTACH and DETACH PARTITION: rows stay on the shards where they are, so the partition must be at
 * home there by itself.
 */
export function checkPartition(
  attaches: boolean,
  { name: range }: PartitionCmd,
  subject: Subject,
  context: StatementContext,
): void {
  const { names } = context;
  const found = names.find(range?.schemaname ?? null, range?.relname ?? '');
  if (found === null) return;
  const own = names.topology.tables.get(`${found.schema}.${found.name}`) ?? null;
  const part = homeOf({ name: found.name, table: own }, context);
  const whole = homeOf(attaches ? subject : subjectOf(range, context), context);
  if (part === null || whole === null || sameHome(part, whole)) return;
  const verb = attaches ? 'attaching' : 'detaching';
  refuse(
    `${verb} table "${found.name}" of keyspace "${part.keyspace.name}", ${attaches ? 'to' : 'from'} table ` +
      `"${subject.name}" whose rows are spread in another way, is not supported`,
    attaches
      ? 'CREATE TABLE ... PARTITION OF, then INSERT the rows.'
      : `DROP it, or list "${found.name}" in the configuration beside "${subject.name}".`,
  );
}

/** Whether the rows of two tables are spread alike. */
export function sameHome(a: Table, b: Table): boolean {
  if (a.keyspace !== b.keyspace) return false;
  if (!a.keyspace.sharded) return true;
  if (a.type !== 'sharded' || b.type !== 'sharded') return a.type === b.type;
  return keyList(a) === keyList(b) && a.vindex === b.vindex;
}

import type { PartitionCmd } from '@pgsql/types';
import { keyList } from '../keyspace/key-columns.js';
import type { Table } from '../keyspace/topology.js';
import { homeOf, subjectOf, type Subject } from './ddl-subject.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

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

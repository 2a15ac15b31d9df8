import type { RangeVar } from '@pgsql/types';
import type { Table } from '../keyspace/topology.js';
import type { StatementContext } from './statement-context.js';

/** A table that DDL names, by what the configuration says of it; it need not exist yet. */
export interface Subject {
  readonly name: string;
  readonly table: Table | null;
  /** The types of the columns that the statement defines: OIDs of types not made by users, 0: others. Absent: none. */
  readonly columnTypes?: ReadonlyMap<string, number>;
}

/** A partition is what the table is that it belongs to. */
export function subjectOf(range: RangeVar | undefined, context: StatementContext): Subject {
  const name = range?.relname ?? '';
  const { names } = context;
  const found = names.find(range?.schemaname ?? null, name);
  const schema = range?.schemaname ?? found?.schema ?? names.creationSchema();
  const own = names.topology.tables.get(`${schema}.${name}`);
  if (own !== undefined || found === null) return { name, table: own ?? null };
  const whole = names.wholeOf(found);
  return { name, table: whole?.partitioned === true ? whole.table : null };
}

/**
 * Where the rows of a table live; the default keyspace for tables that the configuration does not
 * name.
 */
export function homeOf(subject: Subject, context: StatementContext): Table | null {
  if (subject.table !== null) return subject.table;
  const keyspace = context.names.topology.defaultKeyspace;
  return keyspace === null ? null : { type: 'unsharded', keyspace, schema: '', name: subject.name };
}

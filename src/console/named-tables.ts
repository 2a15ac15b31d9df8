import { sqlError } from '../errors/sql-error.js';
import type { Table } from '../keyspace/topology.js';
import type { CommandText } from './command-text.js';
import type { ConsoleContext } from './console-context.js';

/**
 * The table that a command names with its word `at`, as `name` or `schema.name`, and the word behind it; null: it names
 * none. Throws SqlError 42P01 where the configuration has no such table.
 */
export function namedTable(
  text: CommandText,
  at: number,
  { proxy }: ConsoleContext,
): { readonly table: Table; readonly next: number } | null {
  const first = text.value(at);
  if (first === undefined) return null;
  const isQualified = text.word(at + 1) === '.';
  const [schema, name] = isQualified ? [first, text.value(at + 2)] : ['public', first];
  const table = proxy.config.topology.tables.get(`${schema}.${name}`);
  if (table !== undefined) return { table, next: at + (isQualified ? 3 : 1) };
  throw sqlError('undefined_table', `the configuration has no table "${schema}.${name}"`, {
    hint: 'SHOW TABLES lists them.',
  });
}

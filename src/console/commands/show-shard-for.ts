import { sqlError } from '../../errors/sql-error.js';
import type { Shard, Table } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import type { ColumnOf, Row } from '../column.js';
import type { CommandText } from '../command-text.js';
import type { ConsoleCommand } from '../command.js';
import type { ConsoleContext } from '../console-context.js';
import { namedTable } from '../named-tables.js';
import { shardOfKey } from '../route-of.js';

interface Place {
  readonly table: Table;
  readonly shard: string;
}

const columns: readonly ColumnOf<Place>[] = [
  { name: 'table', type: 'text', of: ({ table }) => quoteQualified(table.schema, table.name) },
  { name: 'keyspace', type: 'text', of: ({ table }) => table.keyspace.name },
  { name: 'shard', type: 'text', of: ({ shard }) => shard },
];

export const showShardFor: ConsoleCommand = {
  words: ['SHOW', 'SHARD', 'FOR'],
  usage: 'table key',
  help: 'The shard that holds the rows of a shard key; of a table that is not sharded all that have it',
  access: 'monitor',
  prepare: (text, context) => {
    const { table, key } = readArguments(text, context);
    return { tag: 'SHOW', columns, paramCount: 0, run: () => placesOf(context, table, key) };
  },
};

function readArguments(
  text: CommandText,
  context: ConsoleContext,
): { readonly table: Table; readonly key: string } {
  const named = namedTable(text, 3, context);
  const keyAt = named?.next ?? 0;
  const isQuoted = text.word(keyAt)?.startsWith("'") === true;
  const key = isQuoted ? text.value(keyAt) : text.from(keyAt);
  if (named === null || key === undefined || key === '') {
    throw sqlError('syntax_error', 'usage: SHOW SHARD FOR table key');
  }
  return { table: named.table, key };
}

async function placesOf(context: ConsoleContext, table: Table, key: string): Promise<Row[]> {
  const shards =
    table.type === 'sharded' ? [await shardOf(context, table, key)] : table.keyspace.shards;
  return shards.map(({ name }) => columns.map((column) => column.of({ table, shard: name })));
}

/** As a statement with this key finds it, so that the key is read as its column's type. */
function shardOf(
  context: ConsoleContext,
  { schema, name, shardKey }: Extract<Table, { type: 'sharded' }>,
  key: string,
): Promise<Shard> {
  const condition = `${quoteIdentifier(shardKey)} = ${quoteLiteral(key)}`;
  return shardOfKey(context, `SELECT FROM ${quoteQualified(schema, name)} WHERE ${condition}`);
}

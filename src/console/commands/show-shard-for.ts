import { sqlError } from '../../errors/sql-error.js';
import type { Shard, ShardedTable, Table } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import type { ColumnOf, Row } from '../column.js';
import type { CommandText } from '../command-text.js';
import type { ConsoleCommand } from '../command.js';
import type { ConsoleContext } from '../console-context.js';
import { namedTable } from '../named-tables.js';
import { shardsOfKey } from '../route-of.js';

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
  help: "The shard that holds the rows of a shard key ('a', 'b' of several columns; the first ones alone where these tell shards); of a table that is not sharded all that have it",
  access: 'monitor',
  prepare: (text, context) => {
    const { table, keys } = readArguments(text, context);
    return { tag: 'SHOW', columns, paramCount: 0, run: () => placesOf(context, table, keys) };
  },
};

function readArguments(
  text: CommandText,
  context: ConsoleContext,
): { readonly table: Table; readonly keys: readonly string[] } {
  const named = namedTable(text, 3, context);
  const count = named?.table.type === 'sharded' ? named.table.keyColumns.length : 1;
  const keys = named === null ? [] : keysAt(text, named.next, count);
  const least = named === null ? count : leastColumns(named.table, count);
  if (named === null || keys.length > count || keys.length < least) {
    const usage = Array.from({ length: count }, () => 'key').join(', ');
    throw sqlError('syntax_error', `usage: SHOW SHARD FOR table ${usage}`);
  }
  return { table: named.table, keys };
}

/** How many of a key's columns tell shards. */
function leastColumns(table: Table, count: number): number {
  if (table.type !== 'sharded') return count;
  const eachSpan = table.vindex.parts?.eachSpan ?? null;
  return eachSpan === null ? count : 1;
}

/**
 * The values of a key that begins at a word: one goes on to the end, several have commas between. An empty one must
 * have quotes.
 */
function keysAt(text: CommandText, at: number, count: number): string[] {
  const isQuoted = text.word(at)?.startsWith("'") === true;
  if (count === 1) {
    const key = isQuoted ? text.value(at) : text.from(at) || undefined;
    return key === undefined ? [] : [key];
  }
  const keys: string[] = [];
  for (let word = at; text.word(word) !== undefined; word += 2) {
    keys.push(text.value(word) ?? '');
    if (text.word(word + 1) !== ',') break;
  }
  return keys;
}

async function placesOf(
  context: ConsoleContext,
  table: Table,
  keys: readonly string[],
): Promise<Row[]> {
  const shards =
    table.type === 'sharded' ? await shardsOf(context, table, keys) : table.keyspace.shards;
  return shards.map(({ name }) => columns.map((column) => column.of({ table, shard: name })));
}

/** As a statement with this key finds it, so that the key is read as its column's type. */
function shardsOf(
  context: ConsoleContext,
  { schema, name, keyColumns }: ShardedTable,
  keys: readonly string[],
): Promise<readonly Shard[]> {
  const conditions = keys.map(
    (key, place) => `${quoteIdentifier(keyColumns[place]!)} = ${quoteLiteral(key)}`,
  );
  const condition = conditions.join(' AND ');
  return shardsOfKey(context, `SELECT FROM ${quoteQualified(schema, name)} WHERE ${condition}`);
}

import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import { keyName } from '../../keyspace/key-columns.js';
import type { Shard, ShardedTable, Table } from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';
import type { Analysis } from '../analysis.js';
import type { Names } from '../names.js';
import type { Placement } from '../placement.js';
import { refuse } from '../refusals.js';
import { namesPlace } from './wish.js';

/**
 * The one shard on which a query, UPDATE or DELETE of sharded tables of one keyspace is wished to run, as it stands;
 * null: its own keys decide. Throws Refused.
 */
export function wishedShard({ keyspace, sharded }: Placement, analysis: Analysis): Shard | null {
  const { names, nestedWrites } = analysis;
  if (!namesPlace(names.wish) || sharded.length === 0) return null;
  const shard = shardOfWish(
    sharded.map(({ table }) => table),
    names,
  );
  if (shard?.keyspace !== keyspace?.name) return null;
  if (nestedWrites > 0) {
    refuse(
      'writes in WITH where a shard or key is wished for are not supported',
      'Write in a statement of its own.',
    );
  }
  return shard;
}

/** The shard that is wished for where these tables are used; null: none. Throws Refused. */
export function shardOfWish(tables: Iterable<Table>, names: Names): Shard | null {
  const { wish } = names;
  if (wish.shard !== null || wish.key === null) return wish.shard;
  let found: Shard | null = null;
  for (const table of tables) {
    if (table.type !== 'sharded') continue;
    const shard = shardOfKey(wish.key, table, names);
    if (found !== null && shard !== found) {
      refuse(
        `key "${wish.key}" leads to other shards in table "${table.name}" than in others of this statement`,
        'Use tables with one kind of shard key, or name the shard.',
      );
    }
    found = shard;
  }
  return found;
}

function shardOfKey(key: string, table: ShardedTable, { catalog }: Names): Shard {
  const { keyspace, vindex, keyColumns, schema, name } = table;
  if (keyColumns.length > 1) {
    refuse(
      `a key that is wished for in table "${name}", whose shard key has several columns, is not supported`,
      'SET shardgate.shard instead; SHOW SHARD FOR of the console tells which one it is.',
    );
  }
  if (vindex.directory !== undefined) {
    refuse(
      `a key that is wished for in table "${name}", whose keys a directory places, is not supported`,
      'SET shardgate.shard instead; SHOW SHARD FOR of the console tells which one it is.',
    );
  }
  const relation = catalog.relations.get(`${schema}.${name}`);
  const column = relation?.columns.find((each) => each.name === keyColumns[0]);
  const mapper =
    column === undefined ? null : vindex.mapper(column.type, TypeOid.unknown, column.typmod);
  const id = new KeyspaceIdCell();
  const bytes = Buffer.from(key, 'utf8');
  if (mapper?.text(bytes, 0, bytes.length, id) === MAPPED) return keyspace.shardOf(id.hi, id.lo);
  return refuse(
    `"${key}" is no value of shard key "${keyName(table)}"`,
    'Set shardgate.key to a value as the column has it, or RESET shardgate.key.',
  );
}

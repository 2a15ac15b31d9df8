import type { Pool } from '../backend/pool.js';
import { sqlError } from '../errors/sql-error.js';
import type { ConsoleContext } from './console-context.js';

/**
 * The pools that a command is about: of a shard, of the shards of a keyspace, or all for the database and where nothing
 * is named. Throws SqlError 42704 for other names.
 */
export function poolsNamed({ proxy }: ConsoleContext, name: string | undefined): readonly Pool[] {
  const { all } = proxy.cluster;
  const { database } = proxy.config;
  if (name === undefined || name === database) return all;
  const found = all.filter(({ shard }) => shard.name === name);
  if (found.length > 0) return found;
  const inKeyspace = all.filter(({ shard }) => shard.keyspace === name);
  if (inKeyspace.length > 0) return inKeyspace;
  throw sqlError('undefined_object', `there is no database, keyspace or shard "${name}"`, {
    hint: 'SHOW DATABASES lists them.',
  });
}

import pg from 'pg';
import { inject } from 'vitest';
import { serverNames, type ServerName, type ServerUrls } from './servers.js';

/** A database of one name on each of the six servers, so that test files do not meet. */
export interface DatabaseSet {
  readonly name: string;
  readonly urls: ServerUrls;
  /** Runs SQL on one server, past the proxy: what a shard really holds. */
  query(server: ServerName, sql: string, params?: readonly unknown[]): Promise<unknown[][]>;
  /** Runs SQL on several servers, for preparing what is not the test's subject. */
  onEach(servers: readonly ServerName[], sql: string): Promise<void>;
  /**
   * Drops the databases, cutting off whoever is connected. What is still prepared, as it may be where a test has torn
   * transactions, is rolled back and told; tests whose subject that is look for themselves.
   */
  drop(): Promise<void>;
}

/**
 * Creates fresh databases, replacing those of an earlier run.
 * @param name a lower-case identifier, unique per test file
 */
export async function createDatabaseSet(name: string): Promise<DatabaseSet> {
  if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new Error(`not a plain database name: ${name}`);
  const servers: ServerUrls = { oracle: inject('oracleUrl'), ...inject('shardUrls') };
  const drop = `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`;
  await Promise.all(
    serverNames.map((server) => run(servers[server], [drop, `CREATE DATABASE ${name}`])),
  );
  const urls = Object.fromEntries(
    serverNames.map((server) => [server, withDatabase(servers[server], name)]),
  ) as ServerUrls;
  return {
    name,
    urls,
    query: (server, sql, params) => queryOnce(urls[server], sql, params),
    onEach: async (targets, sql) => {
      await Promise.all(targets.map((server) => run(urls[server], [sql])));
    },
    drop: async () => {
      await Promise.all(
        serverNames.map(async (server) => {
          await rollBackPrepared(urls[server], `${name} on ${server}`);
          await run(servers[server], [drop]);
        }),
      );
    },
  };
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function run(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const sql of statements) await client.query(sql);
  } finally {
    await client.end();
  }
}

async function rollBackPrepared(url: string, where: string): Promise<void> {
  const gids = await queryOnce(
    url,
    'SELECT quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database()',
  );
  if (gids.length > 0) console.warn(`${where}: ${gids.length} transactions were left prepared`);
  const statements = gids.map(([gid]) => `ROLLBACK PREPARED ${String(gid)}`);
  await run(url, statements);
}

/** Rows as arrays of values as `pg` reads them. */
async function queryOnce(
  url: string,
  sql: string,
  params: readonly unknown[] = [],
): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query<unknown[]>({
      text: sql,
      values: [...params],
      rowMode: 'array',
    });
    return result.rows;
  } finally {
    await client.end();
  }
}

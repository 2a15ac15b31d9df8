import { createHash } from 'node:crypto';
import type { ShardQuery } from '../../backend/shard-query.js';
import type { Catalog } from '../../keyspace/catalog.js';
import { rowPlacement } from '../../keyspace/row-placement.js';
import type { Shard, ShardedTable, Topology } from '../../keyspace/topology.js';
import type { Metrics } from '../../metrics/metrics.js';
import { quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { SET_UP_LOCK } from '../../transaction/decisions.js';
import { errorField, type Logger } from '../../util/logger.js';
import { Rounds } from '../../util/rounds.js';
import { nameOf } from './finding.js';

/*
 * By what configuration the rows of a table lie where they are is a row of `shardgate.placements` on the catalog shard,
 * a digest of `rowPlacement`:
 *
 *   (none) -- the first proxy that knows the table --> noted -- the table is empty; REPAIR or AUDIT found all rows
 *                                                       ^ |     where another configuration has them
 *                                                       '-'
 *
 * A proxy whose own digest is another one would not find rows by their keys, nor would others find its new ones.
 */

const TIMEOUT_MS = 30_000;
/** How many are named in one line of the log. */
const LOGGED_MAX = 20;

const IS_THERE_SQL = `SELECT pg_catalog.to_regclass('shardgate.placements') IS NOT NULL`;

const SET_UP_SQL = `
SET LOCAL client_min_messages = warning;
SELECT pg_catalog.pg_advisory_xact_lock(${SET_UP_LOCK});
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE TABLE IF NOT EXISTS shardgate.placements (
  name text PRIMARY KEY,
  digest text NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shardgate.placements IS
  'By what configuration the rows of tables lie where they are, kept by Shardgate: leave it alone'`;

/** Tables that are gone have no rows. */
const FORGET_SQL =
  'DELETE FROM shardgate.placements WHERE pg_catalog.to_regclass(name) IS NULL RETURNING 1';

const NOTED_SQL = 'SELECT name, digest FROM shardgate.placements';

export interface PlacementsHost {
  readonly query: ShardQuery;
  readonly topology: () => Topology;
  readonly catalog: () => Catalog;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Looks whether the rows of all sharded tables lie where this proxy's configuration has them, and says where not. */
export class Placements {
  private readonly host: PlacementsHost;
  private readonly rounds: Rounds;
  private known: readonly string[] = [];

  constructor(host: PlacementsHost) {
    this.host = host;
    const unknown = 'it is not known by what configuration rows were placed';
    this.rounds = new Rounds(
      async () => this.learn(await this.find()),
      (error) => host.logger.debug(errorField(error), unknown),
    );
  }

  /** `schema.name` of tables whose rows were placed by another configuration, as last looked at. */
  get otherwise(): readonly string[] {
    return this.known;
  }

  /** Begins to look, unless it does already; then once more. */
  look(): void {
    this.rounds.begin();
  }

  stop(): void {
    this.rounds.stop();
  }

  /** All rows of a table were found where this configuration has them. That is so whether it can be noted or not. */
  async settle(table: ShardedTable): Promise<void> {
    const { logger, topology } = this.host;
    const { catalogShard } = topology();
    try {
      await this.setUp(catalogShard);
      await this.ask(
        catalogShard,
        `${notesSql([table])} ON CONFLICT (name) DO UPDATE` +
          ' SET digest = excluded.digest, noted_at = clock_timestamp()' +
          ' WHERE placements.digest <> excluded.digest',
      );
    } catch (error) {
      const what = { ...errorField(error), table: nameOf(table) };
      logger.warn(what, 'it could not be noted by what configuration rows lie where they are');
    }
    this.look();
  }

  private async find(): Promise<string[]> {
    const { tables, catalogShard } = this.host.topology();
    const { relations } = this.host.catalog();
    const sharded = [...tables.values()].filter((table) => table.type === 'sharded');
    const there = sharded.filter((table) => relations.has(nameOf(table)));
    if (there.length === 0) return [];
    await this.setUp(catalogShard);
    await this.ask(catalogShard, FORGET_SQL);
    const noted = new Map((await this.ask(catalogShard, NOTED_SQL)) as [string, string][]);
    const fresh = there.filter((table) => !noted.has(sqlName(table)));
    if (fresh.length > 0) {
      await this.ask(catalogShard, `${notesSql(fresh)} ON CONFLICT DO NOTHING`);
    }
    const others: string[] = [];
    for (const table of there) {
      const digest = noted.get(sqlName(table)) ?? digestOf(table);
      if (digest === digestOf(table)) continue;
      if (await this.isEmpty(table)) await this.replace(catalogShard, table, digest);
      else others.push(nameOf(table));
    }
    return others;
  }

  private async isEmpty(table: ShardedTable): Promise<boolean> {
    const sql = `SELECT EXISTS (SELECT FROM ${sqlName(table)})`;
    const answers = await Promise.all(table.keyspace.shards.map((shard) => this.ask(shard, sql)));
    return answers.every(([row]) => row?.[0] === 'f');
  }

  private async replace(shard: Shard, table: ShardedTable, digest: string): Promise<void> {
    await this.ask(
      shard,
      `UPDATE shardgate.placements SET digest = ${quoteLiteral(digestOf(table))}, noted_at = clock_timestamp()` +
        ` WHERE name = ${quoteLiteral(sqlName(table))} AND digest = ${quoteLiteral(digest)}`,
    );
  }

  private learn(found: readonly string[]): void {
    const { metrics, logger } = this.host;
    const before = this.known;
    this.known = found;
    metrics.placementDifferences = found.length;
    if (String(found) === String(before)) return;
    const fields = { count: found.length, tables: found.slice(0, LOGGED_MAX) };
    if (found.length === 0) logger.info('all rows lie where this configuration has them');
    else {
      logger.warn(
        fields,
        'rows of these tables were placed by another configuration: REPAIR moves them (AUDIT counts them);' +
          ' or give all proxies the same one',
      );
    }
  }

  private async setUp(shard: Shard): Promise<void> {
    const [[isThere] = []] = await this.ask(shard, IS_THERE_SQL);
    if (isThere !== 't') await this.ask(shard, SET_UP_SQL);
  }

  private ask(shard: Shard, sql: string): Promise<(string | null)[][]> {
    return this.host.query(shard, sql, TIMEOUT_MS);
  }
}

/** Of these tables, which are noted otherwise; none where nothing is noted yet. Changes nothing. */
export async function placedOtherwise(
  tables: readonly ShardedTable[],
  query: (sql: string) => Promise<(string | null)[][]>,
): Promise<ShardedTable[]> {
  const [[isThere] = []] = await query(IS_THERE_SQL);
  if (isThere !== 't') return [];
  const noted = new Map((await query(NOTED_SQL)) as [string, string][]);
  return tables.filter((table) => {
    const digest = noted.get(sqlName(table));
    return digest !== undefined && digest !== digestOf(table);
  });
}

function notesSql(tables: readonly ShardedTable[]): string {
  const rows = tables.map(
    (table) => `(${quoteLiteral(sqlName(table))}, ${quoteLiteral(digestOf(table))})`,
  );
  return `INSERT INTO shardgate.placements (name, digest) VALUES ${rows.join(', ')}`;
}

function sqlName({ schema, name }: ShardedTable): string {
  return quoteQualified(schema, name);
}

function digestOf(table: ShardedTable): string {
  return createHash('sha256').update(rowPlacement(table)).digest('base64url');
}

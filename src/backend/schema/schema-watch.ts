import type { ShardQuery } from '../shard-query.js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Topology } from '../../keyspace/topology.js';
import type { Metrics } from '../../metrics/metrics.js';
import { errorField, type Logger } from '../../util/logger.js';
import { Rounds } from '../../util/rounds.js';
import {
  differingShards,
  schemaDifferences,
  unevenTables,
  type SchemaDifference,
} from './schema-differences.js';

/** DDL commits on one shard a moment after the other: what is still there by then is a difference. */
const SECOND_LOOK_MS = 2000;
/** How many are named in one line of the log. */
const LOGGED_MAX = 20;

export interface SchemaWatchHost {
  readonly topology: () => Topology;
  readonly query: ShardQuery;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Other tables than before have other columns on some shard. */
  readonly onUneven: () => void;
}

/** Looks whether all shards hold one schema, and says where they do not. */
export class SchemaWatch {
  private readonly host: SchemaWatchHost;
  private readonly rounds: Rounds;
  private known: readonly SchemaDifference[] = [];

  constructor(host: SchemaWatchHost) {
    this.host = host;
    this.rounds = new Rounds(
      async () => this.learn(await this.find()),
      (error) => host.logger.debug(errorField(error), 'schemas cannot be compared'),
    );
  }

  /** As last looked at. */
  get differences(): readonly SchemaDifference[] {
    return this.known;
  }

  /** By `schema.name`: tables whose columns differ, and how. */
  get uneven(): ReadonlyMap<string, string> {
    return unevenTables(this.known);
  }

  /** Begins to look, unless it does already; then once more. */
  look(): void {
    this.rounds.begin();
  }

  stop(): void {
    this.rounds.stop();
  }

  private async find(): Promise<readonly SchemaDifference[]> {
    const { topology, query } = this.host;
    const { shards, catalogShard } = topology();
    if ((await differingShards(shards, catalogShard, query)).length === 0) return [];
    await sleep(SECOND_LOOK_MS, undefined, { ref: false });
    const differing = await differingShards(shards, catalogShard, query);
    return schemaDifferences(differing, catalogShard, query);
  }

  private learn(found: readonly SchemaDifference[]): void {
    const { metrics, logger } = this.host;
    const before = this.known;
    this.known = found;
    metrics.schemaDifferences = found.length;
    const tables = (of: readonly SchemaDifference[]): string => String([...unevenTables(of)]);
    if (tables(found) !== tables(before)) this.host.onUneven();
    if (JSON.stringify(found) === JSON.stringify(before)) return;
    if (found.length === 0) logger.info('all shards hold the same schema again');
    else {
      const differences = found.slice(0, LOGGED_MAX);
      logger.warn({ count: found.length, differences }, 'shards hold different schemas');
    }
  }
}

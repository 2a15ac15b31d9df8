import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Shard } from '../../keyspace/topology.js';
import type { DdlTrace } from '../../planner/plan.js';
import { errorField } from '../../util/logger.js';
import { DdlJob, partKey, type JobHost, type JobParts } from './ddl-job.js';
import {
  beginSql,
  EXISTS_SQL,
  findSql,
  LIST_SQL,
  progressSql,
  SET_UP_SQL,
  SILENCE_MS,
  takeOverSql,
  TIDY_SQL,
  type JobIdentity,
} from './job-table.js';

const QUERY_TIMEOUT_MS = 10_000;
const POLL_MS = 300;

const NO_PROGRESS: ReadonlyMap<string, string> = new Map();

/** A job as people are told of it. */
export interface JobRow {
  readonly statement: string;
  readonly state: 'running' | 'interrupted' | 'done';
  /** By `keyspace/shard`. */
  readonly shards: JobParts;
  /** What a server says of a build that it has under way, by `keyspace/shard`. */
  readonly progress: ReadonlyMap<string, string>;
  readonly begunAt: string;
  readonly endedAt: string | null;
}

/** DDL that each shard commits by itself, written down so that it can be gone on with. */
export class DdlJobs {
  private readonly host: JobHost;
  private ready = false;

  constructor(host: JobHost) {
    this.host = host;
  }

  /**
   * The job of a statement: the one that was cut off, or a new one. While another proxy or session is at it, waits;
   * until `stopped` says that nobody wants it any more (null). Null too where it cannot be written down, which is
   * logged.
   */
  async take(
    identity: JobIdentity,
    shards: readonly Shard[],
    trace: DdlTrace | null,
    stopped: () => boolean,
  ): Promise<DdlJob | null> {
    try {
      await this.setUp();
      while (!stopped()) {
        const job = await this.tryTake(identity, shards, trace, stopped);
        if (job !== null) return job;
        await sleep(POLL_MS);
      }
    } catch (error) {
      this.ready = false;
      const message = 'DDL cannot be written down; it runs without';
      this.host.logger.warn(errorField(error), message);
    }
    return null;
  }

  /** All that is known; unfinished jobs first. Rejects where the catalog shard cannot be asked. */
  async list(): Promise<readonly JobRow[]> {
    const [exists] = await this.ask(EXISTS_SQL);
    if (exists?.[0] !== 't') return [];
    const rows = await this.ask(LIST_SQL);
    return Promise.all(
      rows.map(async ([statement, state, shards, begunAt, endedAt]) => {
        const parts = JSON.parse(shards ?? '{}') as JobParts;
        const open = endedAt === null;
        return {
          statement: statement ?? '',
          state: state as JobRow['state'],
          shards: parts,
          progress: open ? await this.progress(statement ?? '', parts) : NO_PROGRESS,
          begunAt: begunAt ?? '',
          endedAt: endedAt ?? null,
        };
      }),
    );
  }

  private async progress(statement: string, parts: JobParts): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const { shards } = this.host.topology();
    const running = shards.filter((shard) => parts[partKey(shard)]?.state === 'running');
    await Promise.all(
      running.map(async (shard) => {
        try {
          const sql = progressSql(statement);
          const [row] = await this.host.query(shard, sql, QUERY_TIMEOUT_MS);
          if (row !== undefined) found.set(partKey(shard), row[0] ?? '');
        } catch {
          // A shard that is down builds nothing.
        }
      }),
    );
    return found;
  }

  /** Logs what a crash may have left. Never rejects. */
  async report(): Promise<void> {
    const { logger } = this.host;
    // Whoever was at it is known to be gone by then.
    await sleep(SILENCE_MS, undefined, { ref: false });
    try {
      for (const { statement, state, begunAt } of await this.list()) {
        if (state !== 'interrupted') continue;
        logger.warn({ statement, begunAt }, 'DDL is unfinished: repeat the statement to go on');
      }
    } catch (error) {
      logger.warn(errorField(error), 'unfinished DDL cannot be looked for');
    }
  }

  private async setUp(): Promise<void> {
    if (this.ready) return;
    await this.ask(SET_UP_SQL);
    await this.ask(TIDY_SQL);
    this.ready = true;
  }

  private async tryTake(
    identity: JobIdentity,
    shards: readonly Shard[],
    trace: DdlTrace | null,
    stopped: () => boolean,
  ): Promise<DdlJob | null> {
    const { host } = this;
    const make = (id: string, parts: JobParts): DdlJob =>
      new DdlJob(host, { id, owner, parts }, shards, identity, trace, stopped);
    const [row] = await this.ask(findSql(identity));
    const owner = randomUUID();
    if (row === undefined) {
      const parts: JobParts = Object.fromEntries(
        shards.map((shard) => [partKey(shard), { state: 'pending' }]),
      );
      const begun = await this.ask(beginSql(owner, identity, JSON.stringify(parts)));
      return begun.length === 0 ? null : make(owner, parts);
    }
    const [id, before, states, isAtWork] = row;
    if (isAtWork === 't') return null;
    const taken = await this.ask(takeOverSql(id!, before ?? null, owner));
    return taken.length === 0 ? null : make(id!, JSON.parse(states!) as JobParts);
  }

  private ask(sql: string): Promise<(string | null)[][]> {
    return this.host.query(this.host.topology().catalogShard, sql, QUERY_TIMEOUT_MS);
  }
}

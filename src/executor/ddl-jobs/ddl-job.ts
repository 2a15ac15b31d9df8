import type { ShardQuery } from '../../backend/shard-query.js';
import type { Shard, Topology } from '../../keyspace/topology.js';
import type { DdlTrace } from '../../planner/plan.js';
import { errorField, type Logger } from '../../util/logger.js';
import { forgetSql, leaveSql, noteSql, type JobIdentity } from './job-table.js';
import { Traces, type NextStep } from './traces.js';

/** How far one shard is. */
export interface JobPart {
  readonly state: 'pending' | 'running' | 'done' | 'failed';
  readonly error?: string;
  /** OIDs of the indexes that were there before. */
  readonly before?: readonly string[];
  /** When it came to this state; ISO 8601. */
  readonly at?: string;
}

export type JobParts = Readonly<Record<string, JobPart>>;

export interface JobHost {
  readonly query: ShardQuery;
  readonly topology: () => Topology;
  readonly logger: Logger;
}

const QUERY_TIMEOUT_MS = 10_000;
const RENEW_MS = 1000;
/** A drop waits for transactions that use the table. */
const DROP_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/**
 * A statement that this proxy brings to all shards, one transaction on each, and its row in the table of jobs.
 * Once `stopped` says so, since its client has gone, the row is left to whoever says the statement again.
 */
export class DdlJob {
  private readonly host: JobHost;
  private readonly id: string;
  private readonly owner: string;
  private readonly shards: readonly Shard[];
  private readonly traces: Traces | null;
  private readonly parts: Map<string, JobPart>;
  private readonly timer: NodeJS.Timeout;
  /** The row is written in the order of what happens. */
  private written: Promise<unknown> = Promise.resolve();

  constructor(
    host: JobHost,
    job: { readonly id: string; readonly owner: string; readonly parts: JobParts },
    shards: readonly Shard[],
    identity: JobIdentity,
    trace: DdlTrace | null,
    stopped: () => boolean,
  ) {
    this.host = host;
    this.id = job.id;
    this.owner = job.owner;
    this.shards = shards;
    this.parts = new Map(Object.entries(job.parts));
    this.traces = trace === null ? null : new Traces(host.query, trace, identity);
    this.timer = setInterval(() => {
      if (stopped()) this.abandon();
      else void this.write(noteSql(this.id, this.owner, null));
    }, RENEW_MS);
    this.timer.unref();
  }

  stateOf(shard: Shard): JobPart['state'] {
    return this.parts.get(partKey(shard))?.state ?? 'pending';
  }

  /** What is to be done on a shard now. Rejects where it cannot be asked. */
  async next(shard: Shard): Promise<NextStep> {
    const part = this.parts.get(partKey(shard));
    const fresh = part === undefined || part.state === 'pending';
    if (part?.state === 'done' && this.traces?.staysVisible !== true) return { kind: 'done' };
    if (fresh || this.traces === null) return { kind: 'run', drops: [] };
    // What was done may have been undone since.
    return this.traces.next(shard, part.before ?? []);
  }

  async drop(shard: Shard, index: string): Promise<void> {
    const sql = `DROP INDEX CONCURRENTLY IF EXISTS ${index}`;
    await this.host.query(shard, sql, DROP_TIMEOUT_MS);
  }

  /** The statement is about to run there. Resolves when that has been written. */
  async begin(shards: readonly Shard[]): Promise<void> {
    await Promise.all(
      shards.map(async (shard) => {
        const known = this.parts.get(partKey(shard))?.before;
        const before = known ?? (await this.traces?.before(shard)) ?? [];
        this.put(shard, { state: 'running', before });
      }),
    );
    await this.writeParts();
  }

  done(shard: Shard): void {
    const before = this.parts.get(partKey(shard))?.before ?? [];
    this.put(shard, { state: 'done', before });
    void this.writeParts();
  }

  failed(shard: Shard, error: string): void {
    const before = this.parts.get(partKey(shard))?.before ?? [];
    this.put(shard, { state: 'failed', error, before });
  }

  /** It has not come to this shard. */
  untouched(shard: Shard): void {
    this.put(shard, { state: 'pending' });
  }

  /** The statement has ended: on every shard, or so that it may be said again. Resolves when that is written. */
  async leave(): Promise<void> {
    clearInterval(this.timer);
    if (await this.hasLeftNothing()) {
      await this.write(forgetSql(this.id, this.owner));
      return;
    }
    const ended = [...this.parts.values()].every(({ state }) => state === 'done');
    await this.write(leaveSql(this.id, this.owner, this.json(), ended));
  }

  /** Whether it has failed as if it had never been said. */
  private async hasLeftNothing(): Promise<boolean> {
    for (const [key, { state, before }] of this.parts) {
      if (state === 'done' || state === 'running') return false;
      const shard = this.shards.find((each) => partKey(each) === key);
      if (state === 'pending' || this.traces === null || shard === undefined) continue;
      try {
        if (await this.traces.areLeft(shard, before ?? [])) return false;
      } catch {
        // Perhaps the very shard that was lost.
        return false;
      }
    }
    return true;
  }

  /** As after a crash, it shows on the shards what has become of it. */
  private abandon(): void {
    clearInterval(this.timer);
    void this.write(leaveSql(this.id, this.owner, this.json(), false));
  }

  private put(shard: Shard, part: JobPart): void {
    this.parts.set(partKey(shard), { ...part, at: new Date().toISOString() });
  }

  private json(): string {
    return JSON.stringify(Object.fromEntries(this.parts));
  }

  private writeParts(): Promise<void> {
    return this.write(noteSql(this.id, this.owner, this.json()));
  }

  /** Never rejects: what the shards have done is done, and shows there. */
  private write(sql: string): Promise<void> {
    const { query, topology, logger } = this.host;
    const writing = this.written.then(async () => {
      try {
        await query(topology().catalogShard, sql, QUERY_TIMEOUT_MS);
      } catch (error) {
        logger.warn({ job: this.id, ...errorField(error) }, 'the state of DDL cannot be written');
      }
    });
    this.written = writing;
    return writing;
  }
}

export function partKey({ keyspace, name }: Shard): string {
  return `${keyspace}/${name}`;
}

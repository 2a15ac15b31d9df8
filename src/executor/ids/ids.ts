import type { ShardQuery } from '../../backend/shard-query.js';
import { randomUUID } from 'node:crypto';
import { BackendError } from '../../backend/backend-error.js';
import { sqlError, SqlError } from '../../errors/sql-error.js';
import type { SqlStateName } from '../../errors/sqlstates.js';
import type { Shard } from '../../keyspace/topology.js';
import type { IdSource } from '../../planner/plan.js';
import type { Logger } from '../../util/logger.js';
import { MachineLease } from './machine-lease.js';
import { momentSql } from './moment.js';
import { QUERY_TIMEOUT_MS, SequenceValues } from './sequence-values.js';
import { Uuid7Source } from './uuidv7.js';

/** What makes values; the others of `IdSource` are known to the session. */
export type NewIdSource = Extract<
  IdSource,
  { kind: 'snowflake' | 'uuidv4' | 'uuidv7' | 'sequence' | 'moment' }
>;

/** How often it is looked whether the clock has caught up, and for how long. */
const CLOCK_POLL_MS = 20;
const CLOCK_POLLS = 100;
/** Behind that another machine number is taken; a clock that is set back again meanwhile is an error. */
const LEASES = 2;

/** Where new ids come from; one object a proxy, for all its sessions. */
export class Ids {
  private readonly query: ShardQuery;
  private readonly uuids = new Uuid7Source();
  private readonly lease: MachineLease;
  private readonly catalogShard: () => Shard;
  private readonly sequences = new Map<string, SequenceValues>();

  constructor(query: ShardQuery, catalogShard: () => Shard, logger: Logger) {
    this.query = query;
    this.catalogShard = catalogShard;
    this.lease = new MachineLease(query, catalogShard, logger);
  }

  /** Values that can be had at once; null: `fetch` them. */
  take(source: NewIdSource, count: number): readonly string[] | null {
    switch (source.kind) {
      case 'uuidv4':
        return Array.from({ length: count }, () => randomUUID());
      case 'uuidv7':
        return Array.from({ length: count }, () => this.uuids.next());
      case 'snowflake':
        return this.snowflakes(count);
      case 'sequence':
        return this.sequence(source.shard, source.name).take(count);
      case 'moment':
        return null;
    }
  }

  /** Values that must be waited for. Rejects with SqlError. */
  async fetch(source: NewIdSource, count: number): Promise<readonly string[]> {
    try {
      if (source.kind === 'sequence') {
        return await this.sequence(source.shard, source.name).fetch(count);
      }
      if (source.kind === 'moment') {
        const shard = source.shards[0] ?? this.catalogShard();
        const [row] = await this.query(shard, momentSql(source), QUERY_TIMEOUT_MS);
        return new Array<string>(count).fill(row![0]!);
      }
      for (let lease = 0; lease < LEASES; lease++) {
        await this.lease.acquire();
        const values = await this.whenClockAllows(source, count);
        if (values !== null) return values;
        this.lease.giveUp();
      }
    } catch (error) {
      throw asSqlError(error as Error);
    }
    throw sqlError('internal_error', 'no snowflake id: the clock of the proxy was set back', {
      hint: 'Set the clock right, or wait until it has caught up.',
    });
  }

  /** Values by a clock that was set back by a moment; null: by more than that. */
  private async whenClockAllows(
    source: NewIdSource,
    count: number,
  ): Promise<readonly string[] | null> {
    for (let poll = 0; ; poll++) {
      const values = this.take(source, count);
      if (values !== null || poll === CLOCK_POLLS) return values;
      await new Promise((resolve) => setTimeout(resolve, CLOCK_POLL_MS));
    }
  }

  /** Sequences may have been set or altered: nothing that was reserved before is given out. */
  disturb(): void {
    for (const values of this.sequences.values()) values.disturb();
  }

  stop(): void {
    this.lease.stop();
  }

  private snowflakes(count: number): readonly string[] | null {
    const values: string[] = [];
    for (let i = 0; i < count; i++) {
      const value = this.lease.next();
      // What was made so far is lost: ids need not be without gaps.
      if (value === null) return null;
      values.push(value);
    }
    return values;
  }

  private sequence(shard: Shard, name: string): SequenceValues {
    const key = `${shard.keyspace}/${shard.name} ${name}`;
    let values = this.sequences.get(key);
    if (values === undefined) {
      values = new SequenceValues(this.query, shard, name);
      this.sequences.set(key, values);
    }
    return values;
  }
}

/** What a shard may say of a sequence, and the client is told as it stands. */
const told: ReadonlyMap<string, SqlStateName> = new Map<string, SqlStateName>([
  ['2200H', 'sequence_generator_limit_exceeded'],
  ['42501', 'insufficient_privilege'],
  ['42P01', 'undefined_table'],
  ['57014', 'query_canceled'],
]);

/** What a shard said of its sequence, as it would have said it to the client. */
function asSqlError(error: Error): SqlError {
  if (error instanceof SqlError) return error;
  if (!(error instanceof BackendError)) return sqlError('internal_error', error.message);
  const { fields } = error;
  return fields === null || !told.has(fields.get('C') ?? '')
    ? error.toSqlError()
    : sequenceError(fields);
}

/** The same of an ErrorResponse's fields; what has no word of its own here is a fault. */
export function sequenceError(fields: ReadonlyMap<string, string>): SqlError {
  const state = told.get(fields.get('C') ?? '') ?? 'internal_error';
  const message = fields.get('M') ?? 'the server reported an error';
  return sqlError(state, message, { detail: fields.get('D'), hint: fields.get('H') });
}

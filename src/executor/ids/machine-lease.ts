import type { ShardQuery } from '../../backend/shard-query.js';
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError, type SqlError } from '../../errors/sql-error.js';
import type { Shard } from '../../keyspace/topology.js';
import { quoteLiteral } from '../../sql/quote.js';
import { errorField, type Logger } from '../../util/logger.js';
import { AHEAD_MAX_MS, MACHINES_MAX, Snowflakes } from './snowflake.js';

const LEASE_MS = 60_000;
const RENEW_MS = 15_000;
/** The lease counts from before it was asked for, and ends this much earlier here than there. */
const MARGIN_MS = 10_000;
const QUERY_TIMEOUT_MS = 5000;
/** Proxies that start together choose the same number, which one of them gets; the others look again. */
const ATTEMPTS = 20;
const ATTEMPT_PAUSE_MAX_MS = 50;

/** Any number will do, as long as all proxies take the same; this is "machines" in ASCII. */
const SET_UP_LOCK = '7881980430513694067';

const SET_UP_SQL = `
SET LOCAL client_min_messages = warning;
SELECT pg_advisory_xact_lock(${SET_UP_LOCK});
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE TABLE IF NOT EXISTS shardgate.machines (
  id int PRIMARY KEY CHECK (id >= 0 AND id < ${MACHINES_MAX}),
  holder text NOT NULL,
  expires timestamptz NOT NULL,
  used_until_ms bigint NOT NULL
);
COMMENT ON TABLE shardgate.machines IS
  'Machine numbers of proxies that make snowflake ids, lent by Shardgate: leave it alone'`;

/**
 * The machine number of this proxy, lent by a row on the catalog shard. Whoever holds it writes down
 * up to which time its ids may reach, before they do; the next holder begins behind that, so that
 * clocks which differ make no id twice.
 *
 *   acquire ----- renew ----- renew ----- (lost)
 *   ids:   [..until 60 s.][...........]   none, until it is acquired anew
 */
export class MachineLease {
  private readonly query: ShardQuery;
  private readonly shard: () => Shard;
  private readonly logger: Logger;
  private readonly holder = randomUUID();
  private machine: number | null = null;
  private ids: Snowflakes | null = null;
  /** By the monotonic clock. */
  private validUntil = 0;
  /** By the wall clock. */
  private idsUntilMs = 0;
  private acquiring: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(query: ShardQuery, shard: () => Shard, logger: Logger) {
    this.query = query;
    this.shard = shard;
    this.logger = logger;
  }

  /** The next id; null: there is no lease, or the clock is behind. */
  next(): string | null {
    const { ids } = this;
    if (ids === null || performance.now() > this.validUntil) return null;
    return ids.next(Date.now(), this.idsUntilMs);
  }

  /** Resolves when there is a lease. Rejects with what the server said. */
  acquire(): Promise<void> {
    if (this.machine !== null && performance.now() <= this.validUntil) return Promise.resolve();
    this.acquiring ??= this.borrow().finally(() => {
      this.acquiring = null;
    });
    return this.acquiring;
  }

  /** The clock is too far from the ids of this number: the next `acquire` takes another one. */
  giveUp(): void {
    if (this.machine === null) return;
    this.logger.warn(
      { machine: this.machine },
      'snowflake ids: the clock has jumped, another machine number is taken',
    );
    this.forget();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
  }

  private async borrow(): Promise<void> {
    this.forget();
    const { query } = this;
    const shard = this.shard();
    await query(shard, SET_UP_SQL, QUERY_TIMEOUT_MS);
    for (let attempt = 0; this.ids === null; attempt++) {
      if (attempt === ATTEMPTS) throw noNumber();
      if (attempt > 0) await sleep(randomInt(ATTEMPT_PAUSE_MAX_MS));
      const started = performance.now();
      const nowMs = Date.now();
      const [row] = await query(shard, this.acquireSql(nowMs), QUERY_TIMEOUT_MS);
      if (row === undefined) continue;
      this.machine = Number(row[0]);
      this.ids = new Snowflakes(this.machine, Number(row[1] ?? 0));
      this.hold(started, nowMs + LEASE_MS);
    }
    this.timer = setInterval(() => void this.renew(), RENEW_MS);
    this.timer.unref();
    this.logger.info({ machine: this.machine }, 'snowflake ids: machine number acquired');
  }

  private async renew(): Promise<void> {
    const started = performance.now();
    const untilMs = Date.now() + LEASE_MS;
    const sql =
      `UPDATE shardgate.machines SET expires = clock_timestamp() + interval '${LEASE_MS} ms',` +
      ` used_until_ms = greatest(used_until_ms, ${untilMs})` +
      ` WHERE id = ${this.machine ?? -1} AND holder = ${quoteLiteral(this.holder)} RETURNING id`;
    try {
      const rows = await this.query(this.shard(), sql, QUERY_TIMEOUT_MS);
      if (rows.length > 0) this.hold(started, untilMs);
      else this.forget();
    } catch (error) {
      this.logger.warn(errorField(error), 'snowflake ids: the machine number could not be renewed');
    }
  }

  private hold(started: number, untilMs: number): void {
    this.validUntil = started + LEASE_MS - MARGIN_MS;
    this.idsUntilMs = untilMs;
  }

  private forget(): void {
    this.machine = null;
    this.ids = null;
    this.stop();
  }

  /**
   * Numbers that nobody has had come first, then those that expired longest ago; those whose ids may be ahead of the
   * clock wait until it has caught up. One row: the number, and the time that its ids may have reached; none where
   * somebody else was quicker.
   */
  private acquireSql(nowMs: number): string {
    const holder = quoteLiteral(this.holder);
    const expires = `clock_timestamp() + interval '${LEASE_MS} ms'`;
    return (
      `WITH free AS (SELECT g.id, m.used_until_ms FROM generate_series(0, ${MACHINES_MAX - 1}) g (id)` +
      ' LEFT JOIN shardgate.machines m ON m.id = g.id' +
      ' WHERE m.id IS NULL OR m.expires < clock_timestamp()' +
      ` AND m.used_until_ms <= ${nowMs + AHEAD_MAX_MS}` +
      ' ORDER BY m.expires NULLS FIRST, g.id LIMIT 1)' +
      ' INSERT INTO shardgate.machines AS m (id, holder, expires, used_until_ms)' +
      ` SELECT id, ${holder}, ${expires}, ${nowMs + LEASE_MS} FROM free` +
      ' ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expires = excluded.expires,' +
      ' used_until_ms = greatest(m.used_until_ms, excluded.used_until_ms)' +
      ' WHERE m.expires < clock_timestamp()' +
      ' RETURNING id, (SELECT used_until_ms FROM free)'
    );
  }
}

function noNumber(): SqlError {
  return sqlError('insufficient_resources', 'no snowflake id: every machine number is in use', {
    detail: `Each proxy has one of ${MACHINES_MAX}; one that has ended gives it back after ${LEASE_MS / 1000} s.`,
    hint: 'Try again; see SELECT * FROM shardgate.machines on the catalog shard.',
  });
}

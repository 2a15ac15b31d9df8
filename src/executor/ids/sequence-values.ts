import type { ShardQuery } from '../../backend/shard-query.js';
import type { Shard } from '../../keyspace/topology.js';
import { quoteLiteral } from '../../sql/quote.js';

/** Below this many takes a second every value is asked for as it is needed, as one Postgres gives them. */
const CALM_TAKES_PER_SECOND = 64;
/** What is taken in advance: a quarter of a second's worth, at most this. */
const AHEAD_MAX = 1000;
/** Values in advance are dropped when nobody has taken one for this long. */
const STALE_MS = 10_000;
/** Nothing is taken in advance for this long after somebody has set a sequence. */
const QUIET_MS = 5000;
/** A sequence this near to its end gives only what is asked for. */
const ROOM_MIN = 100_000;
const WINDOW_MS = 1000;
/** Another transaction may hold the sequence locked, as ALTER SEQUENCE does. */
export const QUERY_TIMEOUT_MS = 30_000;

/**
 * Values of one sequence, from the server that counts it. Under load they are reserved in blocks;
 * what is left of a block is lost with the proxy, as with a sequence's own CACHE.
 */
export class SequenceValues {
  private readonly query: ShardQuery;
  private readonly shard: Shard;
  private readonly name: string;
  private ahead: string[] = [];
  private lastTakenAt = 0;
  private quietUntil = 0;
  /** Blocks asked for before this count do not stay. */
  private generation = 0;
  private filling = false;
  private windowStart = 0;
  private takes = 0;
  private rows = 0;
  private takesBefore = 0;
  private rowsBefore = 0;

  /** `name`: qualified, and quoted where it must be. */
  constructor(query: ShardQuery, shard: Shard, name: string) {
    this.query = query;
    this.shard = shard;
    this.name = name;
  }

  /** Values at hand; null: they must be fetched. */
  take(count: number): string[] | null {
    const now = performance.now();
    this.count(now, count);
    if (now - this.lastTakenAt > STALE_MS) this.ahead = [];
    this.lastTakenAt = now;
    if (this.ahead.length < count) return null;
    const taken = this.ahead.splice(0, count);
    if (this.ahead.length < this.wanted(now) / 4 && !this.filling) void this.fill(now);
    return taken;
  }

  /** Values straight from the server, for whoever `take` had none. */
  async fetch(count: number): Promise<string[]> {
    const now = performance.now();
    const extra = this.filling ? 0 : this.wanted(now);
    const { generation } = this;
    const values = await this.reserve(count, extra);
    if (generation === this.generation) this.ahead.push(...values.slice(count));
    return values.slice(0, count);
  }

  /** Somebody sets the sequence: what was reserved before is void. */
  disturb(): void {
    this.generation++;
    this.ahead = [];
    this.quietUntil = performance.now() + QUIET_MS;
  }

  private count(now: number, rows: number): void {
    if (now - this.windowStart > WINDOW_MS) {
      const recent = now - this.windowStart < 2 * WINDOW_MS;
      this.takesBefore = recent ? this.takes : 0;
      this.rowsBefore = recent ? this.rows : 0;
      this.takes = 0;
      this.rows = 0;
      this.windowStart = now;
    }
    this.takes++;
    this.rows += rows;
  }

  /** How many values to have in advance. */
  private wanted(now: number): number {
    if (now < this.quietUntil) return 0;
    if (Math.max(this.takes, this.takesBefore) <= CALM_TAKES_PER_SECOND) return 0;
    return Math.min(AHEAD_MAX, Math.ceil(Math.max(this.rows, this.rowsBefore) / 4));
  }

  private async fill(now: number): Promise<void> {
    this.filling = true;
    const { generation } = this;
    try {
      const values = await this.reserve(0, this.wanted(now));
      if (generation === this.generation) this.ahead.push(...values);
    } catch {
      // Whoever needs a value asks for it, and is told.
    } finally {
      this.filling = false;
    }
  }

  private async reserve(count: number, extra: number): Promise<string[]> {
    const rows = await this.query(
      this.shard,
      nextValuesSql(this.name, count, extra),
      QUERY_TIMEOUT_MS,
    );
    return rows.map(([value]) => value!);
  }
}

/** `extra`: further values, if the sequence is far from its end. */
export function nextValuesSql(name: string, count: number, extra: number): string {
  const sequence = `${quoteLiteral(name)}::pg_catalog.regclass`;
  if (extra === 0) {
    return `SELECT pg_catalog.nextval(${sequence}) FROM pg_catalog.generate_series(1, ${count})`;
  }
  const end = 'CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END';
  const last = `COALESCE(pg_catalog.pg_sequence_last_value(s.seqrelid), s.seqstart)`;
  return (
    `SELECT pg_catalog.nextval(s.seqrelid::pg_catalog.regclass) FROM pg_catalog.pg_sequence s,` +
    ` pg_catalog.generate_series(1, ${count} + CASE WHEN NOT s.seqcycle` +
    ` AND abs((${end})::numeric - ${last}) / abs(s.seqincrement) > ${ROOM_MIN}` +
    ` THEN ${extra} ELSE 0 END) WHERE s.seqrelid = ${sequence}`
  );
}

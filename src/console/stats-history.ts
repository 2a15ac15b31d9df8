import { performance } from 'node:perf_hooks';
import type { Metrics } from '../metrics/metrics.js';

/** What STATS counts since the start. Times are microseconds. */
export interface Totals {
  readonly xactCount: number;
  readonly queryCount: number;
  readonly received: number;
  readonly sent: number;
  readonly xactTime: number;
  readonly queryTime: number;
  readonly waitTime: number;
}

/** PgBouncer's stats_period. */
const PERIOD_MS = 60_000;

interface Sample {
  readonly at: number;
  readonly totals: Totals;
}

/**
 * Averages are those since the last period but one began, as PgBouncer's: they cover one to two minutes.
 *
 *   older ---- period ---- newer ---- now        average = (now - older) / time
 */
export class StatsHistory {
  private readonly metrics: Metrics;
  private older: Sample;
  private newer: Sample;
  private readonly timer: NodeJS.Timeout;

  constructor(metrics: Metrics) {
    this.metrics = metrics;
    this.older = this.newer = this.sample();
    this.timer = setInterval(() => {
      this.older = this.newer;
      this.newer = this.sample();
    }, PERIOD_MS);
    this.timer.unref();
  }

  get totals(): Totals {
    return this.sample().totals;
  }

  /** Counts and bytes a second; times for one statement, transaction or wait. */
  get averages(): Totals {
    const { at, totals: now } = this.sample();
    const { totals: then } = this.older;
    const seconds = Math.max(0.001, (at - this.older.at) / 1000);
    const rate = (key: keyof Totals): number => Math.floor((now[key] - then[key]) / seconds);
    const each = (time: keyof Totals, count: keyof Totals): number =>
      Math.floor((now[time] - then[time]) / Math.max(1, now[count] - then[count]));
    return {
      xactCount: rate('xactCount'),
      queryCount: rate('queryCount'),
      received: rate('received'),
      sent: rate('sent'),
      xactTime: each('xactTime', 'xactCount'),
      queryTime: each('queryTime', 'queryCount'),
      waitTime: rate('waitTime'),
    };
  }

  close(): void {
    clearInterval(this.timer);
  }

  private sample(): Sample {
    const { metrics } = this;
    const sum = (values: Iterable<number>): number => {
      let total = 0;
      for (const value of values) total += value;
      return total;
    };
    const queryTime = Math.round(sum(metrics.shardLatency.map((h) => h.sumSeconds)) * 1e6);
    return {
      at: performance.now(),
      totals: {
        xactCount: sum(metrics.transactions),
        queryCount: sum(metrics.statementsByRoute),
        received: metrics.clientBytesIn,
        sent: metrics.clientBytesOut,
        // How long transactions stay open is not measured: what shards take for their statements is.
        xactTime: queryTime,
        queryTime,
        waitTime: Math.round(sum(metrics.backendWait.map((h) => h.sumSeconds)) * 1e6),
      },
    };
  }
}

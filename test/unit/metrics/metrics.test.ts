import { describe, expect, test } from 'vitest';
import {
  CommitKind,
  LatencyHistogram,
  Metrics,
  RouteKind,
  verbIndex,
} from '../../../src/metrics/metrics.js';
import { latencyBoundsSeconds } from '../../../src/metrics/latency-histogram.js';
import { routeLabels } from '../../../src/metrics/kinds.js';

function quiet(): Metrics {
  return new Metrics({ processMetrics: false });
}

describe('the latency histogram', () => {
  test('puts every duration into the bucket whose bounds hold it', () => {
    for (let us = 0; us < 20_000_000; us = Math.ceil(us * 1.013) + 1) {
      const histogram = new LatencyHistogram();
      histogram.observe(us);
      const found = histogram.buckets.indexOf(1);
      const right = latencyBoundsSeconds.findIndex((bound) => us <= bound * 1e6 + 1e-6);
      expect(found, `${us} us`).toBe(right === -1 ? latencyBoundsSeconds.length : right);
    }
  });

  test('takes bounds as inclusive, as Prometheus does', () => {
    const histogram = new LatencyHistogram();
    for (const us of [50, 51, 100, 101]) histogram.observe(us);
    expect([...histogram.buckets.slice(0, 3)]).toEqual([1, 2, 1]);
  });

  test('survives a clock that steps back or far ahead', () => {
    const histogram = new LatencyHistogram();
    for (const us of [-5, 0, 2 ** 40, Number.MAX_SAFE_INTEGER]) histogram.observe(us);
    expect(histogram.count).toBe(4);
    expect(histogram.buckets[0]).toBe(2);
    expect(histogram.buckets.at(-1)).toBe(2);
  });

  test('reaches from 50 us to above 10 s', () => {
    expect(latencyBoundsSeconds[0]).toBe(0.00005);
    expect(latencyBoundsSeconds.at(-1)).toBeGreaterThan(10);
  });
});

describe('the exposition', () => {
  test('shows increments made on plain fields and cells', async () => {
    const metrics = quiet();
    metrics.clientsAccepted += 3;
    metrics.statementsByRoute[RouteKind.oneShard]!++;
    metrics.statementsByVerb[verbIndex('select')]! += 2;
    metrics.statementsByVerb[verbIndex('no such verb')]!++;
    metrics.transactions[CommitKind.rolledBack]!++;
    metrics.clientBytesIn += 17;
    const text = await metrics.render();
    expect(text).toContain('shardgate_clients_accepted_total 3\n');
    expect(text).toContain('shardgate_statements_total{route="one_shard"} 1\n');
    expect(text).toContain('shardgate_statements_by_verb_total{verb="select"} 2\n');
    expect(text).toContain('shardgate_statements_by_verb_total{verb="other"} 1\n');
    expect(text).toContain('shardgate_transactions_total{commit="rolled_back"} 1\n');
    expect(text).toContain('shardgate_client_bytes_total{direction="in"} 17\n');
  });

  test('does not add a counter twice when it is scraped twice', async () => {
    const metrics = quiet();
    metrics.planCacheMisses = 5;
    await metrics.render();
    expect(await metrics.render()).toContain('shardgate_plan_cache_misses_total 5\n');
  });

  test('gives histograms cumulative buckets, sum and count by shard', async () => {
    const metrics = quiet();
    metrics.setShards(['s0', 's1']);
    metrics.shardLatency[1]!.observe(40);
    metrics.shardLatency[1]!.observe(90);
    const text = await metrics.render();
    const line = (rest: string): string => `shardgate_shard_latency_seconds${rest}`;
    expect(text).toContain(line('_bucket{shard="s1",le="0.00005"} 1\n'));
    expect(text).toContain(line('_bucket{shard="s1",le="0.0001"} 2\n'));
    expect(text).toContain(line('_bucket{shard="s1",le="+Inf"} 2\n'));
    expect(text).toContain(line('_sum{shard="s1"} 0.00013\n'));
    expect(text).toContain(line('_count{shard="s1"} 2\n'));
    expect(text).toContain(line('_count{shard="s0"} 0\n'));
    expect(text).toContain('# TYPE shardgate_shard_latency_seconds histogram\n');
  });

  test('asks the owners of pools and plans for their gauges at scrape', async () => {
    const metrics = quiet();
    let idle = 1;
    metrics.poolGauges = () => [
      { shard: 's0', role: 'primary', active: 2, idle, waiting: 4, max: 10 },
    ];
    metrics.planCacheSize = () => ({ entries: 7, bytes: 900 });
    expect(await metrics.render()).toContain('shardgate_pool_idle{shard="s0",role="primary"} 1\n');
    idle = 6;
    const text = await metrics.render();
    expect(text).toContain('shardgate_pool_idle{shard="s0",role="primary"} 6\n');
    expect(text).toContain('shardgate_plan_cache_bytes 900\n');
  });

  test('has a label for every route kind', () => {
    expect(Object.keys(RouteKind)).toHaveLength(routeLabels.length);
    expect(routeLabels[RouteKind.insertSplit]).toBe('insert_split');
    expect(routeLabels[RouteKind.empty]).toBe('empty');
  });

  test('carries process metrics unless told not to', async () => {
    expect(await new Metrics().render()).toContain('process_cpu_user_seconds_total');
    expect(await quiet().render()).not.toContain('process_cpu_user_seconds_total');
  });
});

describe('shards over a reload', () => {
  test('keep their counts by name, wherever they stand in the new list', async () => {
    const metrics = quiet();
    metrics.setShards(['s0', 's1']);
    const heldByPool = metrics.shards[1]!;
    heldByPool.connects++;
    metrics.setShards(['new', 's1']);
    heldByPool.connects++;
    metrics.setShards(['s1']);
    const text = await metrics.render();
    expect(text).toContain('shardgate_backend_connects_total{shard="s1"} 2\n');
    expect(text).not.toContain('shard="s0"');
  });
});

describe('errors by SQLSTATE', () => {
  test('are counted by who raised them', async () => {
    const metrics = quiet();
    metrics.errors.add('23505', 'shard');
    metrics.errors.add('23505', 'shard');
    metrics.errors.add('0A000', 'shardgate');
    const text = await metrics.render();
    expect(text).toContain('shardgate_errors_total{sqlstate="23505",origin="shard"} 2\n');
    expect(text).toContain('shardgate_errors_total{sqlstate="0A000",origin="shardgate"} 1\n');
  });

  test('cannot be made to grow without end by RAISE with invented codes', () => {
    const metrics = quiet();
    for (let i = 0; i < 5000; i++) metrics.errors.add(`Z${String(i).padStart(4, '0')}`, 'shard');
    metrics.errors.add('"}\n# injected', 'shard');
    const entries = [...metrics.errors.entries()];
    expect(entries.length).toBeLessThan(400);
    expect(entries.reduce((sum, [, , count]) => sum + count, 0)).toBe(5001);
    expect(entries.map(([code]) => code)).not.toContain('"}\n# injected');
  });
});

import { collectDefaultMetrics, Registry } from 'prom-client';
import { ErrorCounts } from './error-counts.js';
import { registerFamily, type FamilySpec } from './exposition.js';
import { commitLabels, routeLabels, verbLabels } from './kinds.js';
import { LatencyHistogram } from './latency-histogram.js';
import { ShapeUsages } from './shape-usage.js';

export { CommitKind, RouteKind, verbIndex } from './kinds.js';
export { LatencyHistogram } from './latency-histogram.js';

/** What one pool looks like now. */
export interface PoolGauge {
  readonly shard: string;
  readonly role: 'primary' | 'replica';
  /** Backends lent to a session. */
  readonly active: number;
  readonly idle: number;
  /** Sessions waiting for a backend. */
  readonly waiting: number;
  readonly max: number;
}

/** Counters of one shard. Kept by name over a reload, so a pool may hold on to its own. */
export class ShardMetrics {
  readonly name: string;
  /** From sending a statement to the shard to its last byte. */
  readonly latency = new LatencyHistogram();
  /** From asking a pool for a backend to having it. */
  readonly wait = new LatencyHistogram();
  bytesIn = 0;
  bytesOut = 0;
  connects = 0;
  connectFailures = 0;
  closes = 0;
  /** Backends beyond the pool's size. */
  lent = 0;
  /** Reads of several sessions in one write, and the statements in them. */
  batches = 0;
  batchedStatements = 0;
  /** Batches whose statements ran again, since one of them took long. */
  batchesDisbanded = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Every metric of Shardgate. Counting is an increment of a plain field or typed-array cell
 * (prom-client's `inc` and `observe` take 0.6 us); prom-client families are made from them at
 * scrape. A new metric is a field here and a line in `families`.
 */
export class Metrics {
  clientsAccepted = 0;
  /** Turned away before they had a session: limit, login, TLS. */
  clientsRefused = 0;
  /** Connected now; the listener adds and subtracts. */
  clientsConnected = 0;

  /** By `RouteKind`. */
  readonly statementsByRoute = new Float64Array(routeLabels.length);
  /** By `verbIndex(plan.verb)`. */
  readonly statementsByVerb = new Float64Array(verbLabels.length);
  /** By `CommitKind`. */
  readonly transactions = new Float64Array(commitLabels.length);
  readonly errors = new ErrorCounts();
  /** What statements of each shape have cost. */
  readonly shapes = new ShapeUsages();

  clientBytesIn = 0;
  clientBytesOut = 0;

  planCacheTextHits = 0;
  planCacheShapeHits = 0;
  planCacheMisses = 0;
  planCacheEvictions = 0;

  /** A backend had (or had not) a client's statement prepared already. */
  preparedHits = 0;
  preparedMisses = 0;

  /** Periods of vindexes `tiered` that this proxy's job has given another shard, or could not. */
  periodsMoved = 0;
  periodMovesFailed = 0;

  /** Objects that a shard has otherwise than the catalog shard. */
  schemaDifferences = 0;
  /** Tables whose rows were placed by another configuration. */
  placementDifferences = 0;

  /** By `Shard.index`. */
  shards: readonly ShardMetrics[] = [];
  /** `shards[i].latency`, one load shorter. */
  shardLatency: readonly LatencyHistogram[] = [];
  /** `shards[i].wait`. */
  backendWait: readonly LatencyHistogram[] = [];

  /** Set by the owner of the pools; called at scrape. */
  poolGauges: () => readonly PoolGauge[] = () => [];
  /** Set by the owner of recovery; called at scrape. */
  leftBehind: () => { readonly transactions: number; readonly oldestMs: number } = () => ({
    transactions: 0,
    oldestMs: 0,
  });
  /** Set by the planner; called at scrape. */
  planCacheSize: () => { readonly entries: number; readonly bytes: number } = () => ({
    entries: 0,
    bytes: 0,
  });

  readonly #registry = new Registry();

  /**
   * `processMetrics`: CPU, memory, event loop lag and garbage collection of the process as well.
   */
  constructor(options: { readonly processMetrics: boolean } = { processMetrics: true }) {
    for (const family of families) registerFamily(this.#registry, family, this);
    if (options.processMetrics) collectDefaultMetrics({ register: this.#registry });
  }

  /** Names the shards by index, at start and at each reload; counts of a name that stays go on. */
  setShards(names: readonly string[]): void {
    const known = new Map(this.shards.map((shard) => [shard.name, shard]));
    this.shards = names.map((name) => known.get(name) ?? new ShardMetrics(name));
    this.shardLatency = this.shards.map((shard) => shard.latency);
    this.backendWait = this.shards.map((shard) => shard.wait);
  }

  /** The Prometheus text format, version 0.0.4. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}

const families: readonly FamilySpec<Metrics>[] = [
  single('gauge', 'clients_connected', 'Client connections now', (m) => m.clientsConnected),
  single(
    'counter',
    'clients_accepted_total',
    'Client connections accepted',
    (m) => m.clientsAccepted,
  ),
  single('counter', 'clients_refused_total', 'Client connections refused', (m) => m.clientsRefused),
  indexed(
    'statements_total',
    'Statements by the way they took',
    'route',
    routeLabels,
    (m) => m.statementsByRoute,
  ),
  indexed(
    'statements_by_verb_total',
    'Statements by verb',
    'verb',
    verbLabels,
    (m) => m.statementsByVerb,
  ),
  indexed(
    'transactions_total',
    'Transactions by how they ended',
    'commit',
    commitLabels,
    (m) => m.transactions,
  ),
  single(
    'gauge',
    'transactions_in_doubt',
    'Transactions over several shards that somebody has left prepared',
    (m) => m.leftBehind().transactions,
  ),
  single(
    'gauge',
    'transactions_in_doubt_oldest_seconds',
    'Age of the oldest one of them; 0: there is none',
    (m) => m.leftBehind().oldestMs / 1000,
  ),
  {
    type: 'counter',
    name: 'shardgate_errors_total',
    help: 'Errors that clients were answered with',
    labels: ['sqlstate', 'origin'],
    samples: function* (m) {
      for (const [sqlstate, origin, count] of m.errors.entries()) {
        yield [{ sqlstate, origin }, count];
      }
    },
  },
  labelled('counter', 'client_bytes_total', 'Bytes exchanged with clients', 'direction', (m) => ({
    in: m.clientBytesIn,
    out: m.clientBytesOut,
  })),
  labelled('counter', 'backend_bytes_total', 'Bytes exchanged with shards', 'direction', (m) => ({
    in: m.shards.reduce((sum, shard) => sum + shard.bytesIn, 0),
    out: m.shards.reduce((sum, shard) => sum + shard.bytesOut, 0),
  })),
  labelled('counter', 'plan_cache_hits_total', 'Plans found, by cache step', 'step', (m) => ({
    text: m.planCacheTextHits,
    shape: m.planCacheShapeHits,
  })),
  single('counter', 'plan_cache_misses_total', 'Statements planned', (m) => m.planCacheMisses),
  single(
    'counter',
    'plan_cache_evictions_total',
    'Plans dropped for room',
    (m) => m.planCacheEvictions,
  ),
  labelled(
    'counter',
    'period_moves_total',
    'Periods that were to go to the shards of their age',
    'outcome',
    (m) => ({ moved: m.periodsMoved, failed: m.periodMovesFailed }),
  ),
  single('gauge', 'plan_cache_entries', 'Plans held', (m) => m.planCacheSize().entries),
  single('gauge', 'plan_cache_bytes', 'Size of the plans held', (m) => m.planCacheSize().bytes),
  labelled(
    'counter',
    'prepared_statements_total',
    'Uses of prepared statements, by whether the backend had it',
    'result',
    (m) => ({ hit: m.preparedHits, miss: m.preparedMisses }),
  ),
  single(
    'gauge',
    'schema_differences',
    'Objects that some shard has otherwise than the catalog shard',
    (m) => m.schemaDifferences,
  ),
  single(
    'gauge',
    'placement_differences',
    'Tables whose rows were placed by another configuration',
    (m) => m.placementDifferences,
  ),
  perPool('pool_active', 'Backends lent to sessions', (pool) => pool.active),
  perPool('pool_idle', 'Backends at rest', (pool) => pool.idle),
  perPool('pool_waiting', 'Sessions waiting for a backend', (pool) => pool.waiting),
  perPool('pool_max', 'Most backends the pool may open', (pool) => pool.max),
  perShard('backend_connects_total', 'Backends opened', (shard) => shard.connects),
  perShard(
    'backend_connect_failures_total',
    'Backends that could not be opened',
    (shard) => shard.connectFailures,
  ),
  perShard('backend_closes_total', 'Backends closed', (shard) => shard.closes),
  perShard('backends_lent_total', 'Backends of the reserve that were lent', (shard) => shard.lent),
  perShard('batches_total', 'Reads of several clients sent in one write', (shard) => shard.batches),
  perShard(
    'batched_statements_total',
    'Statements in such writes',
    (shard) => shard.batchedStatements,
  ),
  perShard(
    'batches_disbanded_total',
    'Such writes whose statements were sent again, since one of them took long',
    (shard) => shard.batchesDisbanded,
  ),
  shardHistogram(
    'shard_latency_seconds',
    'From sending a statement to a shard to its last byte',
    (shard) => shard.latency,
  ),
  shardHistogram('backend_wait_seconds', 'Waiting for a backend of a pool', (shard) => shard.wait),
];

type Family = FamilySpec<Metrics>;

function single(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: (metrics: Metrics) => number,
): Family {
  const samples = (m: Metrics): readonly [Record<string, string>, number][] => [[{}, read(m)]];
  return { type, name: `shardgate_${name}`, help, labels: [], samples };
}

function indexed(
  name: string,
  help: string,
  label: string,
  values: readonly string[],
  read: (metrics: Metrics) => Float64Array,
): Family {
  return {
    type: 'counter',
    name: `shardgate_${name}`,
    help,
    labels: [label],
    samples: (m) => values.map((value, index) => [{ [label]: value }, read(m)[index]!] as const),
  };
}

function labelled(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  label: string,
  read: (metrics: Metrics) => Readonly<Record<string, number>>,
): Family {
  return {
    type,
    name: `shardgate_${name}`,
    help,
    labels: [label],
    samples: (m) =>
      Object.entries(read(m)).map(([value, count]) => [{ [label]: value }, count] as const),
  };
}

function perPool(name: string, help: string, read: (pool: PoolGauge) => number): Family {
  return {
    type: 'gauge',
    name: `shardgate_${name}`,
    help,
    labels: ['shard', 'role'],
    samples: (m) =>
      m.poolGauges().map((pool) => [{ shard: pool.shard, role: pool.role }, read(pool)] as const),
  };
}

function perShard(name: string, help: string, read: (shard: ShardMetrics) => number): Family {
  return {
    type: 'counter',
    name: `shardgate_${name}`,
    help,
    labels: ['shard'],
    samples: (m) => m.shards.map((shard) => [{ shard: shard.name }, read(shard)] as const),
  };
}

function shardHistogram(
  name: string,
  help: string,
  read: (shard: ShardMetrics) => LatencyHistogram,
): Family {
  return {
    type: 'histogram',
    name: `shardgate_${name}`,
    help,
    labels: ['shard'],
    samples: (m) => m.shards.map((shard) => [{ shard: shard.name }, read(shard)] as const),
  };
}

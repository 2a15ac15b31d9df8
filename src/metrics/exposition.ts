import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { latencyBoundsSeconds, type LatencyHistogram } from './latency-histogram.js';

type Labels = Readonly<Record<string, string>>;

/**
 * One prom-client family whose samples are read off `source` at scrape time, so that counting costs
 * nothing before.
 */
export type FamilySpec<Source> =
  | {
      readonly type: 'counter' | 'gauge';
      readonly name: string;
      readonly help: string;
      readonly labels: readonly string[];
      readonly samples: (source: Source) => Iterable<readonly [Labels, number]>;
    }
  | {
      readonly type: 'histogram';
      readonly name: string;
      readonly help: string;
      readonly labels: readonly string[];
      readonly samples: (source: Source) => Iterable<readonly [Labels, LatencyHistogram]>;
    };

export function registerFamily<Source>(
  registry: Registry,
  spec: FamilySpec<Source>,
  source: Source,
): void {
  const { name, help } = spec;
  const common = { name, help, labelNames: [...spec.labels], registers: [registry] };
  switch (spec.type) {
    case 'counter':
      new Counter({
        ...common,
        collect() {
          this.reset();
          for (const [labels, value] of spec.samples(source)) this.inc(labels, value);
        },
      });
      return;
    case 'gauge':
      new Gauge({
        ...common,
        collect() {
          this.reset();
          for (const [labels, value] of spec.samples(source)) this.set(labels, value);
        },
      });
      return;
    case 'histogram':
      new LatencyFamily(common, () => spec.samples(source));
  }
}

interface HistogramSample {
  readonly metricName: string;
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

/**
 * A prom-client histogram that reports finished buckets; prom-client itself can only observe values
 * one by one.
 */
class LatencyFamily extends Histogram {
  readonly #common: { readonly name: string; readonly help: string };
  readonly #samples: () => Iterable<readonly [Labels, LatencyHistogram]>;

  constructor(
    common: { name: string; help: string; labelNames: string[]; registers: Registry[] },
    samples: () => Iterable<readonly [Labels, LatencyHistogram]>,
  ) {
    super({ ...common, buckets: [...latencyBoundsSeconds] });
    this.#common = common;
    this.#samples = samples;
  }

  override get(): ReturnType<Histogram['get']> {
    const { name, help } = this.#common;
    const values: HistogramSample[] = [];
    for (const [labels, histogram] of this.#samples()) pushSamples(values, name, labels, histogram);
    const family = { name, help, type: 'histogram', aggregator: 'sum', values };
    return Promise.resolve(family as unknown as Awaited<ReturnType<Histogram['get']>>);
  }

  /**
   * What `Registry.metrics()` calls in place of `get` where it is there (prom-client 15,
   * lib/registry.js).
   */
  getForPromString(): ReturnType<Histogram['get']> {
    return this.get();
  }
}

function pushSamples(
  values: HistogramSample[],
  name: string,
  labels: Labels,
  histogram: LatencyHistogram,
): void {
  let cumulative = 0;
  histogram.buckets.forEach((count, index) => {
    cumulative += count;
    const le = latencyBoundsSeconds[index] ?? '+Inf';
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulative });
  });
  values.push({ metricName: `${name}_sum`, labels, value: histogram.sumSeconds });
  values.push({ metricName: `${name}_count`, labels, value: cumulative });
}

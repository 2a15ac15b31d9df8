import { expect, test } from 'vitest';
import { Metrics } from '../../../src/metrics/metrics.js';
import { tableOf } from '../../support/readme.js';

/** Name, type, labels and help of every family, from what a scraper would get. */
async function families(): Promise<string[][]> {
  const metrics = new Metrics({ processMetrics: false });
  metrics.setShards(['s0']);
  metrics.errors.add('0A000', 'shardgate');
  const pool = { shard: 's0', role: 'primary', active: 0, idle: 0, waiting: 0, max: 1 } as const;
  metrics.poolGauges = () => [pool];
  const text = await metrics.render();
  return [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)\n(.*)$/gm)].map((match) => {
    const [, name, help, type, sample] = match;
    const labels = [...sample!.matchAll(/[{,](\w+)="/g)].map(([, label]) => label!);
    return [name!, type!, labels.filter((label) => label !== 'le').join(', '), help!];
  });
}

test('README lists every metric with its type, labels and meaning, in the order of a scrape', async () => {
  const wanted = await families();
  expect(wanted.length).toBeGreaterThan(20);
  expect(tableOf('Metrics, health, logs')).toEqual(wanted);
});

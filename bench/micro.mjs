// @ts-check
import { Bench } from 'tinybench';
import { figure, table } from './lib/markdown.mjs';
import { bindBenchmarks } from './micro/bind.mjs';
import { framingBenchmarks } from './micro/framing.mjs';
import { hashBenchmarks } from './micro/hash.mjs';
import { planBenchmarks } from './micro/plan.mjs';
import { shapeBenchmarks } from './micro/shape.mjs';
import { vindexBenchmarks } from './micro/vindexes.mjs';

/**
 * One thing that is done over and over on the hot path.
 * @typedef {object} Micro
 * @property {string} name
 * @property {number} [operations] that one call of `run` stands for; 1 where it is left out
 * @property {() => unknown} run its result is used, so that the JIT cannot drop the work
 */

/** One sample is this many calls: a single one is shorter than the clock is exact. */
const CALLS_PER_SAMPLE = 1_000;

/**
 * Times the parts of the hot path in this process.
 * @param {number} seconds for each of them
 * @returns {Promise<string>} Markdown
 */
export async function measureParts(seconds) {
  const groups = await Promise.all([
    framingBenchmarks(),
    shapeBenchmarks(),
    planBenchmarks(),
    bindBenchmarks(),
  ]);
  return measureAll('Parts of the hot path', groups.flat(), seconds);
}

/**
 * Times what vindexes make of one key.
 * @param {number} seconds for each of them
 * @returns {Promise<string>} Markdown
 */
export async function measureVindexes(seconds) {
  const groups = await Promise.all([hashBenchmarks(), vindexBenchmarks()]);
  return measureAll('Vindexes', groups.flat(), seconds);
}

/**
 * @param {string} title
 * @param {readonly Micro[]} micros
 * @param {number} seconds
 */
async function measureAll(title, micros, seconds) {
  const rows = [];
  for (const micro of micros) {
    const nanoseconds = await time(micro, seconds);
    rows.push([micro.name, figure(nanoseconds, 0)]);
    console.log(`  ${micro.name}: ${figure(nanoseconds, 0)} ns`);
  }
  return `### ${title}\n\n${table(['operation', 'ns'], rows)}`;
}

/** What results are put into. @type {{ last: unknown }} */
const results = { last: null };

/**
 * @param {Micro} micro
 * @param {number} seconds
 * @returns {Promise<number>} median nanoseconds of one operation
 */
async function time({ name, run, operations = 1 }, seconds) {
  const bench = new Bench({ time: seconds * 250, warmupTime: seconds * 100 });
  bench.add(name, () => {
    for (let i = 0; i < CALLS_PER_SAMPLE; i++) results.last = run();
  });
  await bench.run();
  const result = bench.tasks[0]?.result;
  if (result === undefined || !('latency' in result)) {
    throw new Error(`benchmark "${name}" failed`, {
      cause: result !== undefined && 'error' in result ? result.error : undefined,
    });
  }
  return (result.latency.p50 * 1e6) / CALLS_PER_SAMPLE / operations;
}

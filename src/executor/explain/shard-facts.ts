import type { ExplainSpec } from '../../planner/plan.js';
import type { PropertyValue } from './plan-tree.js';
import type { NodeFacts } from './render.js';

/** The question to a shard about a statement that it runs. `serializes`: it can tell how large the rows are. */
export function questionText(spec: ExplainSpec, sql: string, serializes: boolean): string {
  const options = [`FORMAT ${spec.format === 'json' ? 'JSON' : 'TEXT'}`];
  if (spec.options !== '') options.push(spec.options);
  if (serializes && spec.analyze && !/\bserialize\b/i.test(spec.options)) {
    options.push('SERIALIZE BINARY');
  }
  return `EXPLAIN (${options.join(', ')}) ${sql}`;
}

/** What one shard's answer says of its statement; undefined: not told. */
interface ShardFacts {
  readonly estimatedRows: number | undefined;
  readonly actualRows: number | undefined;
  readonly milliseconds: number | undefined;
  /** Of its rows. */
  readonly kilobytes: number | undefined;
  readonly plan: unknown;
}

/** Facts of a node from its shards' answers, each as the lines that the shard sent. */
export function nodeFacts(
  spec: ExplainSpec,
  answers: readonly { readonly shard: string; readonly lines: readonly string[] }[],
): NodeFacts {
  const facts = answers.map(({ shard, lines }) => ({
    shard,
    ...(spec.format === 'json' ? fromJson(lines.join('\n')) : fromText(lines)),
  }));
  const properties: [string, PropertyValue][] = [];
  const estimated = sum(facts.map((fact) => fact.estimatedRows));
  if (estimated !== undefined) properties.push(['Estimated Shard Rows', estimated]);
  if (spec.analyze) {
    const actual = sum(facts.map((fact) => fact.actualRows));
    if (actual !== undefined) properties.push(['Actual Shard Rows', actual]);
    properties.push([
      'Actual Per Shard',
      facts.map((fact) => {
        const time = fact.milliseconds === undefined ? '' : ` in ${fact.milliseconds} ms`;
        const size = fact.kilobytes === undefined ? '' : `, ${fact.kilobytes} kB`;
        return `${fact.shard} ${fact.actualRows ?? '?'} rows${time}${size}`;
      }),
    ]);
  }
  const shardPlans = spec.verbose ? facts.map(({ shard, plan }) => ({ shard, plan })) : [];
  return { properties, shardPlans };
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  let total = 0;
  for (const value of values) {
    if (value === undefined) return undefined;
    total += value;
  }
  return total;
}

/** PostgreSQL's first line is `Sort  (cost=1.0..2.0 rows=5 width=4) (actual time=0.1..0.2 rows=5.00 loops=1)`. */
function fromText(lines: readonly string[]): ShardFacts {
  const first = lines[0] ?? '';
  const size = lines.map((line) => /^Serialization: .*output=(\d+)kB/.exec(line)).find(Boolean);
  const time = lines.map((line) => /^Execution Time: ([\d.]+) ms/.exec(line)).find(Boolean);
  return {
    estimatedRows: numberIn(/cost=[\d.]+ rows=(\d+)/.exec(first)),
    actualRows: numberIn(/\(actual [^)]*rows=([\d.]+)/.exec(first)),
    milliseconds: numberIn(time ?? null),
    kilobytes: numberIn(size ?? null),
    plan: lines,
  };
}

function fromJson(text: string): ShardFacts {
  const [document] = JSON.parse(text) as [Record<string, unknown>];
  const plan = document['Plan'] as Record<string, unknown>;
  return {
    estimatedRows: plan['Plan Rows'] as number | undefined,
    actualRows: plan['Actual Rows'] as number | undefined,
    milliseconds: document['Execution Time'] as number | undefined,
    kilobytes: (document['Serialization'] as Record<string, number> | undefined)?.['Output Volume'],
    plan,
  };
}

function numberIn(match: RegExpExecArray | null): number | undefined {
  return match === null ? undefined : Number(match[1]);
}

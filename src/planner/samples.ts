import type { Node, RangeTableSample } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { contains, qualifiedName } from './ast.js';
import { isPlainCondition } from './gather/plain-expressions.js';
import type { StatementText } from './gather/text-edits.js';
import type { Entry, Occurrence } from './model.js';
import { refuse } from './refusals.js';

/** Methods that take a share of the rows, so that samples of all shards are a sample of the table. */
const shares = new Set(['bernoulli', 'system']);

/** Whether so many rows are taken of a table, or as many as a time allows, not a share of them. */
export function samplesByCount(entry: Entry, analysis: Analysis): boolean {
  const sample = analysis.sampled.get(entry);
  return sample !== undefined && !shares.has(qualifiedName(sample.method).name);
}

/**
 * Takes the clause out of the statement, to stand where the table is read; '' where it has none.
 * Throws Refused where it would not mean the same there.
 */
export function movedSample(
  { entry, table }: Occurrence,
  text: StatementText,
  analysis: Analysis,
): string {
  const sample = analysis.sampled.get(entry);
  if (sample === undefined) return '';
  if (table?.type === 'sharded' && samplesByCount(entry, analysis)) {
    refuseSample('of other methods than BERNOULLI and SYSTEM over several shards');
  }
  if (!valuesOf(sample).every((node) => isConstant(node, analysis))) {
    refuseSample('of a share that is computed, over several shards');
  }
  const clause = text.takeOut('tablesample', sample.location, 'repeatable');
  return clause === null ? refuseSample('in this text over several shards') : ` ${clause}`;
}

function valuesOf({ args, repeatable }: RangeTableSample): Node[] {
  return [...(args ?? []), ...(repeatable === undefined ? [] : [repeatable])];
}

function isConstant(node: Node, analysis: Analysis): boolean {
  return isPlainCondition(node, analysis) && !contains(node, 'ColumnRef');
}

function refuseSample(what: string): never {
  return refuse(
    `TABLESAMPLE ${what} is not supported`,
    'Give BERNOULLI or SYSTEM a constant, or use a WHERE condition on random() or on a hash of a column.',
  );
}

import type { GatherInput, GatherSpec } from '../planner/plan.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { ArrayColumn } from './array-parameter.js';
import type { ResultColumn } from './described-columns.js';

/** The expression that makes an aggregate of its partial results in these columns, of these types. */
export type Combine = (
  aggregate: string,
  columns: readonly string[],
  types: readonly number[],
) => string;

/**
 * The final statement's text.
 * @param relations what stands for each input: a table's name or a sub-select in parentheses
 * @param columns of each input, as a shard describes them
 */
export function finalText(
  spec: GatherSpec,
  relations: readonly string[],
  columns: readonly (readonly ResultColumn[])[],
  combine: Combine,
): string {
  return spec.final
    .map((piece) => {
      if (typeof piece === 'string') return piece;
      if (piece.kind === 'input') return relations[piece.input]!;
      const names = spec.inputs[piece.input]!.columns;
      const alias = quoteIdentifier(piece.alias);
      return combine(
        piece.aggregate,
        piece.columns.map((column) => `${alias}.${quoteIdentifier(names[column]!)}`),
        piece.columns.map((column) => columns[piece.input]![column]!.type),
      );
    })
    .join('');
}

/** An input whose rows are in array parameters, the first of which is `$first`. */
export function unnestRelation(
  names: readonly string[],
  columns: readonly ArrayColumn[],
  first: number,
  collations?: readonly (string | null)[],
): string {
  const outputs = columns.map(({ cast }, i) => {
    const collation = collations?.[i] ?? null;
    const value = `pg_catalog.unnest($${first + i})${cast === null ? '' : `::${cast}`}`;
    const collated = collation === null ? value : `${value} COLLATE ${collation}`;
    return `${collated} AS ${quoteIdentifier(names[i]!)}`;
  });
  // In a select list they advance together; ROWS FROM would first write down what each of them gives.
  return `(SELECT ${outputs.join(', ')})`;
}

/** An input of which the home has rows itself: `table` holds those of others; null: there are none. */
export function inPlaceRelation(
  input: Pick<GatherInput, 'columns' | 'sql'>,
  table: string | null,
): string {
  const names = input.columns.map(quoteIdentifier).join(', ');
  // The line break ends a comment that the input may end with.
  const own = `SELECT * FROM (${input.sql}\n) AS sg_own (${names})`;
  return table === null ? `(${own})` : `(SELECT * FROM ${table} UNION ALL ${own})`;
}

/** The rows of a query whose column has one of the values in array parameter `$parameter`. */
export function onlyValues(sql: string, column: string, parameter: number): string {
  const name = quoteIdentifier(column);
  // The line break ends a comment that the query may end with.
  return (
    `SELECT * FROM (${sql}\n) AS sg_rows` +
    ` WHERE sg_rows.${name} OPERATOR(pg_catalog.=) ANY ($${parameter})`
  );
}

/** Makes a temporary table of an input, with the rows of the shard it is made on or without any. */
export function createTable(
  table: string,
  columns: readonly string[],
  sql: string,
  withData: boolean,
): string {
  const names = columns.map(quoteIdentifier).join(', ');
  // The line break ends a comment that the input may end with.
  return (
    `CREATE TEMPORARY TABLE ${table} (${names}) ON COMMIT DROP AS ${sql}\n` +
    `WITH ${withData ? '' : 'NO '}DATA`
  );
}

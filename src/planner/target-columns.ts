import type { CatalogColumn } from '../keyspace/catalog.js';
import type { Occurrence } from './model.js';

/*
 * The columns of a statement's target by the names that the statement has for them, which are those of
 * a view where it names one.
 */

/** What the statement calls the target's columns, in order. */
export function targetNames({ relation, through }: Occurrence): string[] {
  return (through ?? relation).columns.map(({ name }) => name);
}

/** The table's column that the statement calls so; null: none, or a view computes it. */
export function columnOf(
  { relation, through }: Occurrence,
  name: string | undefined,
): CatalogColumn | null {
  if (through === undefined) return relation.columns.find((own) => own.name === name) ?? null;
  return through.columns.find((own) => own.name === name)?.column ?? null;
}

/** The table's columns, with the defaults that they have for this statement. */
export function ownColumns({ relation, through }: Occurrence): readonly CatalogColumn[] {
  if (through === undefined) return relation.columns;
  return relation.columns.map((own) => {
    return through.columns.find(({ column }) => column?.name === own.name)?.column ?? own;
  });
}

/** What the statement may call a column of the table; null: a view does not show it. */
export function nameOf({ through }: Occurrence, own: string): string | null {
  if (through === undefined) return own;
  return through.columns.find(({ column }) => column?.name === own)?.name ?? null;
}

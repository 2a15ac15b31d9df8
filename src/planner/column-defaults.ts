import type { CatalogColumn } from '../keyspace/catalog.js';
import type { Analysis } from './analysis.js';
import type { IdColumn } from './id-sources.js';
import type { Occurrence } from './model.js';
import { refuse } from './refusals.js';

/**
 * What a column gets where no value is given; a column without default gets NULL, which is
 * constant.
 */
export function defaultKind(column: CatalogColumn): NonNullable<CatalogColumn['defaultKind']> {
  if (column.identity !== '') return 'sequence';
  if (!column.hasDefault) return 'constant';
  return column.defaultKind ?? 'function';
}

/**
 * Each shard counts its sequences by itself, and functions may read tables that it does not hold.
 */
export function checkDefaults(analysis: Analysis): void {
  for (const { occurrence, column } of analysis.defaulted) {
    if (occurrence.table?.keyspace.sharded !== true || column.generated) continue;
    const place = `${occurrence.relation.name}.${column.name}`;
    const kind = defaultKind(column);
    if (kind === 'sequence') {
      refuse(
        `the default of column "${place}" comes from a sequence, which each shard would count by itself`,
        `Give a value for "${column.name}"; an INSERT of its own gets one where the default is nextval() alone.`,
      );
    }
    if (kind === 'function') {
      refuse(
        `the default of column "${place}" calls a user-defined function, which may read other shards`,
        `Give a value for "${column.name}", or declare the function IMMUTABLE.`,
      );
    }
  }
}

/** What is left out must be the same in every copy of a row; `made`: what the proxy gives to it. */
export function checkCopiedDefaults(
  target: Occurrence,
  analysis: Analysis,
  made: readonly IdColumn[] = [],
): void {
  for (const { occurrence, column } of analysis.defaulted) {
    if (occurrence.entry !== target.entry || column.generated) continue;
    if (made.some((id) => id.column.name === column.name)) continue;
    if (defaultKind(column) === 'constant') continue;
    const place = `${target.relation.name}.${column.name}`;
    refuse(
      `the default of column "${place}" gives another value on each shard of the reference table`,
      `Give a value for "${column.name}".`,
    );
  }
}

import type { ColumnRef } from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import type { Analysis } from './analysis.js';
import { stringOf } from './ast.js';
import type { Level } from './model.js';
import type { ResolvedColumn, Scope } from './scopes.js';

/** Notes which queries refer to something outside them, and which references are whole rows. */
export function noteReach(
  reference: ColumnRef,
  resolved: ResolvedColumn,
  scope: Scope,
  analysis: Analysis,
): void {
  const whole = wholeRowOf(reference, resolved, scope);
  if (whole !== null) {
    analysis.wholeRows.set(reference, { relation: whole, isCertain: resolved.kind === 'star' });
  }
  if (scope.parent === null) return;
  const target = levelReached(resolved, scope);
  for (let level: Level | null = scope.level; level !== null && level !== target;) {
    analysis.correlated.add(level);
    level = level.parent;
  }
}

/** The level that a reference belongs to; null where it may be any one. */
function levelReached(resolved: ResolvedColumn, scope: Scope): Level | null {
  switch (resolved.kind) {
    case 'column':
      return resolved.variable !== null || !mayHide(scope) ? resolved.level : null;
    case 'star': {
      const own = resolved.items?.every((item) => scope.items.includes(item)) ?? true;
      return own ? scope.level : null;
    }
    default:
      return null;
  }
}

/** Whether something of unknown columns is visible, so that a name may not be what it seems. */
function mayHide(scope: Scope): boolean {
  for (let place: Scope | null = scope; place !== null; place = place.parent) {
    if (place.items.some((item) => item.open)) return true;
  }
  return false;
}

/** The base table whose whole row a reference is, or may be; null: none. */
function wholeRowOf(
  reference: ColumnRef,
  resolved: ResolvedColumn,
  scope: Scope,
): CatalogRelation | null {
  const fields = reference.fields ?? [];
  const name = stringOf(fields.at(-1));
  if (name === null) return null;
  if (resolved.kind === 'star') return resolved.items?.[0]?.relation ?? null;
  if (fields.length > 1 || resolved.kind !== 'column' || resolved.variable !== null) return null;
  if (!mayHide(scope)) return null;
  for (let place: Scope | null = scope; place !== null; place = place.parent) {
    const item = place.items.find((candidate) => candidate.name === name);
    if (item !== undefined) return item.relation;
  }
  return null;
}

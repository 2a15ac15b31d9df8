import type { Node } from '@pgsql/types';
import { TypeOid } from '../../keyspace/type-oids.js';
import type { Analysis, Condition } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, isOperator, stringOf } from '../ast.js';
import type { Entry, Level } from '../model.js';
import { resolveColumn } from '../scopes.js';
import { conjunctsOf } from './concerns.js';

/** Types of a fixed size with an order: no value is too large for an index. */
const indexedTypes: ReadonlySet<number> = new Set([
  TypeOid.int2,
  TypeOid.int4,
  TypeOid.int8,
  TypeOid.float8,
  TypeOid.bool,
  TypeOid.date,
  TypeOid.timestamp,
  TypeOid.timestamptz,
  TypeOid.uuid,
]);

/**
 * The columns by which a correlated sub-select finds its rows of a table: those that it says equal
 * something of the queries around it. Empty where there are none.
 */
export function lookupColumns(entry: Entry, analysis: Analysis): string[] {
  const out = new Set<string>();
  if (!analysis.correlated.has(entry.level) || isExistence(entry.level, analysis)) return [];
  for (const condition of analysis.conditions) {
    if (!condition.restricts(entry)) continue;
    for (const conjunct of conjunctsOf(condition.node)) {
      const column = lookupColumn(conjunct, entry, condition);
      if (column !== null) out.add(column);
    }
  }
  return [...out];
}

/** EXISTS becomes a join of its own accord, which needs no index. */
function isExistence(level: Level, analysis: Analysis): boolean {
  for (const [link, own] of analysis.sublinks) {
    if (own === level) return link.subLinkType === 'EXISTS_SUBLINK';
  }
  return false;
}

function lookupColumn(conjunct: Node, entry: Entry, condition: Condition): string | null {
  if (!('A_Expr' in conjunct) || conjunct.A_Expr.kind !== 'AEXPR_OP') return null;
  const { name, lexpr, rexpr } = conjunct.A_Expr;
  if (!isOperator(name, '=') || lexpr === undefined || rexpr === undefined) return null;
  return (
    columnBeside(lexpr, rexpr, entry, condition) ?? columnBeside(rexpr, lexpr, entry, condition)
  );
}

/** The entry's column that `side` is, if `other` speaks of queries around. */
function columnBeside(side: Node, other: Node, entry: Entry, { place }: Condition): string | null {
  const reference = columnRefOf(side);
  const resolved = reference === null ? null : resolveColumn(reference, place.scope);
  const variable = resolved?.kind === 'column' ? resolved.variable : null;
  if (variable?.entry !== entry || !indexedTypes.has(variable.type)) return null;
  // Another name of the column (USING, a list of aliases) is not the input's.
  if (stringOf(reference?.fields?.at(-1)) !== variable.name) return null;
  return reachesOut(other, entry, place) ? variable.name : null;
}

function reachesOut(node: Node, entry: Entry, place: Condition['place']): boolean {
  const reference = columnRefOf(node);
  if (reference !== null) {
    const resolved = resolveColumn(reference, place.scope);
    return resolved.kind === 'column' && resolved.level !== entry.level;
  }
  let found = false;
  forEachChild(bodyOf(node), (child) => {
    found ||= reachesOut(child, entry, place);
  });
  return found;
}

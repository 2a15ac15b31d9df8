import type { Node } from '@pgsql/types';
import { deparseExpression } from '../../sql/deparse.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import type { Analysis, Condition } from '../analysis.js';
import { isOperator } from '../ast.js';
import { bareColumn } from '../expressions.js';
import { sameFamily, type Entry, type Occurrence } from '../model.js';
import type { ShardedOccurrence } from '../placement.js';
import { sameMapping } from '../splitting.js';
import type { StatementContext } from '../statement-context.js';
import { bareNames, conjunctsOf, entriesOf } from './concerns.js';
import { isPlainCondition } from './plain-expressions.js';

/**
 * Conditions that rows of a table meet on their own shard: a row is needed only if a table that is
 * joined on the shard key has a row for it that passes that table's own conditions.
 *
 *     FROM items i JOIN orders o ON o.customer_id = i.customer_id, products p WHERE o.placed > $1
 *     items: ... WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = i.customer_id AND o.placed > $1)
 */
export function semiJoinsOf(
  occurrence: Occurrence,
  analysis: Analysis,
  context: StatementContext,
): string[] {
  const out: string[] = [];
  for (const other of analysis.occurrences) {
    const meets = other.entry !== occurrence.entry && other.entry.level === occurrence.entry.level;
    const sql = meets ? semiJoin(occurrence, other, analysis, context) : null;
    if (sql !== null) out.push(sql);
  }
  return out;
}

function semiJoin(
  own: Occurrence,
  other: Occurrence,
  analysis: Analysis,
  context: StatementContext,
): string | null {
  if (!isSharded(own) || !isSharded(other) || !sameMapping(own, other)) return null;
  const source = sourceOf(other, analysis);
  if (source === null || own.entry.alias === other.entry.alias) return null;
  const parts: string[] = [];
  const joined = new Set<number>();
  let selective = false;
  for (const condition of analysis.conditions) {
    // Whatever row of the result a row of the table is part of, the condition holds there.
    if (!condition.restricts(own.entry)) continue;
    for (const conjunct of conjunctsOf(condition.node)) {
      const entries = between(conjunct, own, other, condition, analysis);
      if (entries === null) continue;
      const sql = deparseExpression(conjunct, context.parser);
      if (sql === null) continue;
      parts.push(`(${sql})`);
      if (entries.size === 1) selective = true;
      else {
        const place = joinedKey(conjunct, own, other, condition, analysis);
        if (place !== null) joined.add(place);
      }
    }
  }
  if (joined.size < own.table.keyColumns.length || !selective) return null;
  return `EXISTS (SELECT FROM ${source} WHERE ${parts.join(' AND ')})`;
}

function isSharded(occurrence: Occurrence): occurrence is ShardedOccurrence {
  return occurrence.table?.type === 'sharded';
}

/** The entries of a condition on the other table, or on both; null for any other condition. */
function between(
  conjunct: Node,
  own: Occurrence,
  other: Occurrence,
  condition: Condition,
  analysis: Analysis,
): Set<Entry> | null {
  const entries = entriesOf(conjunct, condition, analysis);
  if (entries?.has(other.entry) !== true || !isPlainCondition(conjunct, analysis)) return null;
  if (entries.size > 2 || (entries.size === 2 && !entries.has(own.entry))) return null;
  // A name that both tables have would be taken for the inner one's.
  const bare = bareNames(conjunct);
  const names = (table: Occurrence): Set<string> =>
    new Set(table.relation.columns.map(({ name }) => name));
  const [ownNames, otherNames] = [names(own), names(other)];
  return [...bare].some((name) => ownNames.has(name) && otherNames.has(name)) ? null : entries;
}

/**
 * `a.key = b.key`: which column of the keys is compared, null for none. Where all are, rows that meet
 * are on one shard.
 */
function joinedKey(
  conjunct: Node,
  own: ShardedOccurrence,
  other: ShardedOccurrence,
  { place }: Condition,
  analysis: Analysis,
): number | null {
  if (!('A_Expr' in conjunct) || conjunct.A_Expr.kind !== 'AEXPR_OP') return null;
  if (analysis.names.catalog.comparisonsOverloaded === true) return null;
  const { name, lexpr, rexpr } = conjunct.A_Expr;
  if (!isOperator(name, '=')) return null;
  const sides = [lexpr, rexpr].map((side) => bareColumn(side, place, analysis));
  const others = analysis.keysOf(other) ?? [];
  for (const [index, a] of (analysis.keysOf(own) ?? []).entries()) {
    const b = others[index];
    if (b === undefined || !sides.includes(a) || !sides.includes(b)) continue;
    if (sameFamily(a.type, b.type) && a.deterministic && b.deterministic) return index;
  }
  return null;
}

/** The table as the statement names it; null where its columns have other names there. */
function sourceOf({ entry, relation }: Occurrence, analysis: Analysis): string | null {
  for (const [range, occurrence] of analysis.ranges) {
    if (occurrence.entry !== entry) continue;
    if (range.alias?.colnames !== undefined) return null;
    const table = quoteQualified(relation.schema, relation.name);
    const only = range.inh === true ? '' : 'ONLY ';
    return `${only}${table} AS ${quoteIdentifier(entry.alias)}`;
  }
  return null;
}

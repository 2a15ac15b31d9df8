import type { Node, SelectStmt, WindowDef } from '@pgsql/types';
import type { Analysis, Place } from './analysis.js';
import { columnRefOf, constOf, isStar, kindOf, stringOf } from './ast.js';
import { bareColumn } from './expressions.js';
import type { Level, Variable } from './model.js';
import { resolveColumn } from './scopes.js';
import { sameTree } from '../sql/same-tree.js';

/** What an item of GROUP BY, ORDER BY or DISTINCT ON stands for. */
export type ClauseItem =
  /** The n-th output column, 0-based. */
  | { readonly kind: 'output'; readonly index: number }
  /** An expression of the columns of FROM. */
  | { readonly kind: 'expression'; readonly node: Node }
  /** An error that PostgreSQL will raise, or something that cannot be told here. */
  | { readonly kind: 'unclear' };

const UNCLEAR = { kind: 'unclear' } as const;

/**
 * Resolves an item as PostgreSQL does (PostgreSQL 18, parse_clause.c findTargetlistEntrySQL92): an
 * integer is an ordinal; a bare name is an output column, in GROUP BY only where FROM has no column
 * of this name; everything else is an expression. `place` null: a set operation, whose items are
 * output columns only.
 */
export function clauseItem(
  node: Node,
  clause: 'group' | 'order',
  select: SelectStmt,
  level: Level,
  place: Place | null,
): ClauseItem {
  const constant = constOf(node);
  if (constant !== null) {
    const ordinal = constant.ival === undefined ? 0 : (constant.ival.ival ?? 0);
    if (level.openOutputs || ordinal < 1 || ordinal > level.outputs.length) return UNCLEAR;
    return { kind: 'output', index: ordinal - 1 };
  }
  const fields = columnRefOf(node)?.fields ?? [];
  const name = fields.length === 1 ? stringOf(fields[0]) : null;
  if (name === null) return place === null ? UNCLEAR : { kind: 'expression', node };
  if (clause === 'group' && place !== null) {
    if (hasOwnColumn(node, place)) return { kind: 'expression', node };
    if (place.scope.items.some((item) => item.open)) return UNCLEAR;
  }
  if (level.openOutputs) return UNCLEAR;
  const matches = level.outputs.flatMap((output, index) => (output.name === name ? [index] : []));
  if (matches.length === 0) return place === null ? UNCLEAR : { kind: 'expression', node };
  const first = outputExpression(matches[0]!, select, level);
  const same = matches.every(
    (index) => index === matches[0] || sameTree(outputExpression(index, select, level), first),
  );
  return same && (matches.length === 1 || first !== null)
    ? { kind: 'output', index: matches[0]! }
    : UNCLEAR;
}

function hasOwnColumn(node: Node, { scope }: Place): boolean {
  const resolved = resolveColumn(columnRefOf(node)!, scope);
  return resolved.kind === 'column' && resolved.level === scope.level;
}

/**
 * An output column as an expression of the columns of FROM; null where it has no name of its own (a
 * column of `*` beside others of its name, a set operation).
 */
export function outputExpression(index: number, select: SelectStmt, level: Level): Node | null {
  const { name, target } = level.outputs[index]!;
  const node = target === undefined ? undefined : select.targetList?.[target];
  if (node === undefined || !('ResTarget' in node)) return null;
  const { val } = node.ResTarget;
  if (!isStar(val)) return val ?? null;
  const fields = columnRefOf(val)?.fields;
  if (fields === undefined || name === null) return null;
  const namesakes = level.outputs.filter((other) => other.target === target && other.name === name);
  if (namesakes.length > 1) return null;
  return { ColumnRef: { fields: [...fields.slice(0, -1), { String: { sval: name } }] } };
}

/** The bare columns of GROUP BY; null with GROUPING SETS. */
export function groupVariables(
  select: SelectStmt,
  place: Place,
  level: Level,
  analysis: Analysis,
): Set<Variable> | null {
  const clause = select.groupClause ?? [];
  if (clause.some((node) => 'GroupingSet' in node)) return null;
  return variablesOf(clause, 'group', select, place, level, analysis);
}

/** The bare columns of which rows are made distinct. */
export function distinctVariables(
  select: SelectStmt,
  place: Place,
  level: Level,
  analysis: Analysis,
): Set<Variable> {
  const on = (select.distinctClause ?? []).filter((node) => kindOf(node) !== '');
  if (on.length > 0) return variablesOf(on, 'order', select, place, level, analysis);
  const outputs = level.openOutputs ? [] : level.outputs;
  return new Set(outputs.flatMap(({ variable }) => (variable === null ? [] : [variable])));
}

function variablesOf(
  clause: readonly Node[],
  kind: 'group' | 'order',
  select: SelectStmt,
  place: Place,
  level: Level,
  analysis: Analysis,
): Set<Variable> {
  const out = new Set<Variable>();
  for (const node of clause) {
    const item = clauseItem(node, kind, select, level, place);
    const variable =
      item.kind === 'output'
        ? level.outputs[item.index]!.variable
        : item.kind === 'expression'
          ? bareColumn(item.node, place, analysis)
          : null;
    if (variable !== null) out.add(variable);
  }
  return out;
}

/** The bare columns that each window function of a query partitions by; null: cannot be told. */
export function windowPartitions(
  select: SelectStmt,
  place: Place,
  level: Level,
  analysis: Analysis,
): ReadonlySet<Variable>[] | null {
  const out: Set<Variable>[] = [];
  for (const call of level.windowCalls) {
    if (call === null) return null;
    const partition = partitionOf(call, select, 0);
    if (partition === null) return null;
    const variables = partition.map((node) => bareColumn(node, place, analysis));
    out.push(new Set(variables.filter((variable) => variable !== null)));
  }
  return out;
}

/** PARTITION BY of a window, also where it is that of a named one; null: no window of this name. */
function partitionOf(window: WindowDef, select: SelectStmt, depth: number): Node[] | null {
  const own = window.partitionClause ?? [];
  const isUse = own.length === 0 && depth === 0 && window.name !== undefined;
  const base = window.refname ?? (isUse ? window.name : undefined);
  if (base === undefined) return own;
  const named = (select.windowClause ?? []).find(
    (node) => 'WindowDef' in node && node.WindowDef.name === base,
  );
  // Each named window builds on an earlier one; a circle is PostgreSQL's error to raise.
  if (named === undefined || !('WindowDef' in named) || depth > 32) return null;
  const inherited = partitionOf(named.WindowDef, select, depth + 1);
  return inherited === null ? null : [...own, ...inherited];
}

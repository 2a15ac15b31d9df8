import type { A_Expr, ColumnRef, FuncCall, Node, SubLink, TypeCast } from '@pgsql/types';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis, Place } from './analysis.js';
import {
  bodyOf,
  columnRefOf,
  constOf,
  forEachChild,
  kindOf,
  qualifiedName,
  selectOf,
} from './ast.js';
import { assignAggregate, inspectFunction, inspectName, isAggregate } from './functions.js';
import { typeFamily, type Variable } from './model.js';
import { UNDETERMINED, type ParamHint } from './params.js';
import { noteReach } from './reach.js';
import { refuse } from './refusals.js';
import { resolveColumn, TABLE_OID } from './scopes.js';

/**
 * Nodes that only combine the values of their children. Anything that is not known by name is
 * refused.
 */
const plainKinds = new Set(
  (
    'BoolExpr NullTest BooleanTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr A_ArrayExpr RowExpr ' +
    'CollateClause XmlExpr XmlSerialize GroupingFunc List NamedArgExpr A_Indices ' +
    'SetToDefault MultiAssignRef MergeSupportFunc ResTarget SortBy WindowDef GroupingSet ' +
    'JsonFuncExpr JsonObjectConstructor JsonArrayConstructor JsonObjectAgg JsonArrayAgg ' +
    'JsonIsPredicate JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonKeyValue JsonValueExpr ' +
    'JsonArgument JsonBehavior JsonOutput JsonReturning JsonFormat JsonAggConstructor String ' +
    'Integer Float Boolean BitString A_Star TypeName'
  ).split(' '),
);

const comparisons = new Set(['=', '<>', '!=', '<', '>', '<=', '>=']);

/**
 * Walks one expression: resolves its columns, notes how parameters are used, inspects functions and
 * operators, and analyses the queries inside. `hint` is the type its place gives to a bare
 * parameter.
 */
export function visitExpression(
  node: Node | undefined,
  place: Place,
  analysis: Analysis,
  hint: ParamHint = UNDETERMINED,
): void {
  if (node === undefined) return;
  if ('ColumnRef' in node) return visitColumn(node.ColumnRef, place, analysis);
  if ('ParamRef' in node) return analysis.params.note((node.ParamRef.number ?? 0) - 1, hint);
  if ('A_Const' in node) return visitConstant(node, analysis);
  if ('A_Expr' in node) return visitOperator(node.A_Expr, place, analysis);
  if ('TypeCast' in node) return visitCast(node.TypeCast, place, analysis);
  if ('FuncCall' in node) return visitCall(node.FuncCall, place, analysis);
  if ('SubLink' in node) return visitSubLink(node.SubLink, place, analysis);
  if ('A_Indirection' in node) return visitIndirection(node, place, analysis);
  if ('SQLValueFunction' in node) return visitValueFunction(node, analysis);
  if ('JsonArrayQueryConstructor' in node) return visitJsonQuery(node, place, analysis);
  if ('NullTest' in node && node.NullTest.arg !== undefined && 'ParamRef' in node.NullTest.arg) {
    // IS NULL takes any type and so decides none.
    const { params } = analysis;
    params.count = Math.max(params.count, node.NullTest.arg.ParamRef.number ?? 0);
    return;
  }
  const kind = kindOf(node);
  if (kind === '') return;
  if (!plainKinds.has(kind)) {
    refuse(
      `expression ${kind} is not supported`,
      'Write it in another way or compute it in the client.',
    );
  }
  if (kind === 'JsonObjectAgg' || kind === 'JsonArrayAgg') markJsonAggregate(node, place);
  forEachChild(bodyOf(node), (child) => {
    visitExpression(child, place, analysis);
  });
}

/**
 * The table column that an expression is, seen through casts that keep bytes (text, varchar); else
 * null.
 */
export function bareColumn(
  node: Node | undefined,
  place: Place,
  analysis: Analysis,
): Variable | null {
  const reference = columnRefOf(node);
  if (reference !== null) {
    const resolved = resolveColumn(reference, place.scope);
    return resolved.kind === 'column' ? resolved.variable : null;
  }
  if (node === undefined || !('TypeCast' in node)) return null;
  const cast = node.TypeCast;
  if (cast.typeName === undefined || (cast.typeName.typmods?.length ?? 0) > 0) return null;
  if (cast.typeName.arrayBounds !== undefined) return null;
  const type = analysis.names.typeOid(cast.typeName);
  if (type !== TypeOid.text && type !== TypeOid.varchar) return null;
  const column = bareColumn(cast.arg, place, analysis);
  return column !== null && typeFamily(column.type) === TypeOid.text ? column : null;
}

function visitColumn(reference: ColumnRef, place: Place, analysis: Analysis): void {
  const resolved = resolveColumn(reference, place.scope);
  noteReach(reference, resolved, place.scope, analysis);
  switch (resolved.kind) {
    case 'column':
      analysis.columnLevels?.add(resolved.level);
      return;
    case 'systemColumn':
      // What is told of the others holds for all.
      if (analysis.systemColumn === null || analysis.systemColumn === TABLE_OID) {
        analysis.systemColumn = resolved.name;
      }
      return;
    case 'none':
      // `row.function` calls a function; a bare name never does.
      if ((reference.fields?.length ?? 0) > 1) inspectName(null, resolved.field, null, analysis);
      return;
    case 'star':
  }
}

/** String constants that stand for a time which depends on when they are read. */
export const clockWords = /^\s*(now|today|tomorrow|yesterday)\b/i;

function visitConstant(node: Node, analysis: Analysis): void {
  const constant = constOf(node);
  if (constant?.sval === undefined) return;
  analysis.stringConstants++;
  const text = constant.sval.sval ?? '';
  if (clockWords.test(text)) analysis.clockText ??= text;
}

function visitOperator(expression: A_Expr, place: Place, analysis: Analysis): void {
  const { schema, name } = qualifiedName(expression.name);
  const { catalog } = analysis.names;
  if (schema !== 'pg_catalog' && name !== '' && catalog.operators.has(name)) {
    refuse(
      `operator ${name} is not supported: a user-defined operator of this name is not IMMUTABLE`,
      'Declare its function IMMUTABLE if it only computes from its arguments.',
    );
  }
  const { lexpr, rexpr } = expression;
  switch (expression.kind) {
    case 'AEXPR_OP':
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT':
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_NULLIF': {
      const compares = comparisons.has(name) || expression.kind !== 'AEXPR_OP';
      visitAgainst(lexpr, compares ? rexpr : undefined, place, analysis);
      visitAgainst(rexpr, compares ? lexpr : undefined, place, analysis);
      return;
    }
    case 'AEXPR_IN':
      visitExpression(lexpr, place, analysis);
      visitInList(rexpr, lexpr, place, analysis);
      return;
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL': {
      const hint = typeHint(lexpr, place, analysis);
      visitExpression(lexpr, place, analysis);
      const array: ParamHint =
        hint.kind === 'scalar' ? { kind: 'array', type: hint.type } : UNDETERMINED;
      visitExpression(rexpr, place, analysis, array);
      return;
    }
    default:
      visitExpression(lexpr, place, analysis);
      visitExpression(rexpr, place, analysis);
  }
}

/**
 * One side of a comparison with `other` (undefined: no comparison): a list (BETWEEN) and rows go
 * item by item.
 */
function visitAgainst(
  node: Node | undefined,
  other: Node | undefined,
  place: Place,
  analysis: Analysis,
): void {
  if (node !== undefined && 'List' in node) {
    for (const item of node.List.items ?? []) visitAgainst(item, other, place, analysis);
    return;
  }
  if (node !== undefined && other !== undefined && 'RowExpr' in node && 'RowExpr' in other) {
    const others = other.RowExpr.args ?? [];
    (node.RowExpr.args ?? []).forEach((item, index) => {
      visitExpression(item, place, analysis, typeHint(others[index], place, analysis));
    });
    return;
  }
  visitExpression(node, place, analysis, typeHint(other, place, analysis));
}

function visitInList(
  list: Node | undefined,
  tested: Node | undefined,
  place: Place,
  analysis: Analysis,
): void {
  const rows = tested !== undefined && 'RowExpr' in tested;
  const hint = inListHint(list, typeHint(tested, place, analysis));
  const items = list !== undefined && 'List' in list ? (list.List.items ?? []) : [];
  for (const item of items) {
    if (rows) visitAgainst(item, tested, place, analysis);
    else visitExpression(item, place, analysis, hint);
  }
}

/** The type that a comparison with this expression gives to an untyped parameter. */
function typeHint(node: Node | undefined, place: Place, analysis: Analysis): ParamHint {
  const column = bareColumn(node, place, analysis);
  if (column === null || column.type === 0) return UNDETERMINED;
  return { kind: 'scalar', type: column.type };
}

/** IN resolves all its items to one common type (PostgreSQL 18, parse_expr.c transformAExprIn). */
function inListHint(list: Node | undefined, hint: ParamHint): ParamHint {
  if (hint.kind === 'undetermined' || list === undefined || !('List' in list)) return UNDETERMINED;
  const keepsInteger = hint.type === TypeOid.int4 || hint.type === TypeOid.int8;
  const simple = (list.List.items ?? []).every((item) => {
    if ('ParamRef' in item) return true;
    const constant = constOf(item);
    if (constant === null) return false;
    if (constant.isnull === true || constant.sval !== undefined) return true;
    return constant.ival !== undefined && keepsInteger;
  });
  return simple ? hint : UNDETERMINED;
}

function visitCast(cast: TypeCast, place: Place, analysis: Analysis): void {
  const type = cast.typeName === undefined ? 0 : analysis.names.typeOid(cast.typeName);
  const name = qualifiedName(cast.typeName?.names).name;
  // OIDs of user objects differ from shard to shard.
  if (name.startsWith('reg')) analysis.readsCatalog = true;
  const array = cast.typeName?.arrayBounds !== undefined;
  const hint: ParamHint = type === 0 ? UNDETERMINED : { kind: array ? 'array' : 'scalar', type };
  visitExpression(cast.arg, place, analysis, hint);
}

function visitCall(call: FuncCall, place: Place, analysis: Analysis): void {
  inspectFunction(call, place, analysis);
  const aggregate = isAggregate(call, analysis) && call.over === undefined;
  const outer = analysis.columnLevels;
  if (aggregate) analysis.columnLevels = new Set();
  for (const argument of call.args ?? []) visitExpression(argument, place, analysis);
  visitExpression(call.agg_filter, place, analysis);
  for (const item of call.agg_order ?? []) visitExpression(item, place, analysis);
  if (aggregate) {
    assignAggregate(place.scope.level, analysis.columnLevels!);
    for (const level of analysis.columnLevels!) outer?.add(level);
    analysis.columnLevels = outer;
  }
  if (call.over !== undefined) {
    place.scope.level.windowCalls.push(call.over);
    visitExpression({ WindowDef: call.over }, place, analysis);
  }
}

function visitSubLink(link: SubLink, place: Place, analysis: Analysis): void {
  visitExpression(link.testexpr, place, analysis);
  const select = selectOf(link.subselect);
  if (select === null) refuse('this sub-select is not supported', 'Write it as a SELECT.');
  const { level } = place.scope;
  const query = analysis.walker.query(select, level, place.scope, place.ctes, analysis);
  analysis.sublinks.set(link, query);
}

function visitIndirection(
  node: Extract<Node, { A_Indirection: unknown }>,
  place: Place,
  analysis: Analysis,
): void {
  visitExpression(node.A_Indirection.arg, place, analysis);
  for (const step of node.A_Indirection.indirection ?? []) {
    // `(row).name` may be a function call.
    if ('String' in step) inspectName(null, step.String.sval ?? '', null, analysis);
    else visitExpression(step, place, analysis);
  }
}

function visitValueFunction(
  node: Extract<Node, { SQLValueFunction: unknown }>,
  analysis: Analysis,
): void {
  const op = node.SQLValueFunction.op ?? '';
  if (/DATE|TIME/.test(op)) {
    analysis.volatileFunction ??= op.replace(/^SVFOP_/, '').toLowerCase();
  }
}

function visitJsonQuery(
  node: Extract<Node, { JsonArrayQueryConstructor: unknown }>,
  place: Place,
  analysis: Analysis,
): void {
  const select = selectOf(node.JsonArrayQueryConstructor.query);
  if (select === null) refuse('this JSON_ARRAY query is not supported', 'Write it as a SELECT.');
  analysis.walker.query(select, place.scope.level, place.scope, place.ctes, analysis);
}

/**
 * JSON_OBJECTAGG and JSON_ARRAYAGG: aggregates that are no function calls. Outer columns are taken
 * as theirs too.
 */
function markJsonAggregate(node: Node, place: Place): void {
  const constructor = bodyOf(node).constructor as { over?: unknown } | undefined;
  if (constructor?.over !== undefined) {
    place.scope.level.windows = true;
    place.scope.level.windowCalls.push(null);
  }
  for (let scope: Place['scope'] | null = place.scope; scope !== null; scope = scope.parent) {
    scope.level.aggregates = true;
  }
}

import type { Node, SelectStmt } from '@pgsql/types';
import { Analysis } from '../analysis.js';
import { bodyOf, constOf, forEachChild, kindOf, qualifiedName } from '../ast.js';
import { clockWords } from '../expressions.js';
import { isAggregate, inspectName } from '../functions.js';
import { isRowStar } from './whole-rows.js';

/** Nodes that a condition on one table may be made of. */
const conditionKinds = new Set(
  (
    'ColumnRef ParamRef A_Const A_Expr BoolExpr NullTest BooleanTest CaseExpr CaseWhen ' +
    'CoalesceExpr MinMaxExpr FuncCall TypeCast A_ArrayExpr RowExpr CollateClause List ' +
    'A_Indirection A_Indices TypeName String Integer Float Boolean BitString NamedArgExpr'
  ).split(' '),
);

/**
 * Whether an expression has the same value on every shard and at any time of a statement, and
 * computes it from columns, constants and parameters with nothing but built-in functions.
 */
export function isPlainCondition(node: Node, analysis: Analysis): boolean {
  return every(
    node,
    (part) =>
      conditionKinds.has(kindOf(part)) && isPlainPart(part, analysis) && !isSet(part, analysis),
  );
}

/**
 * The same of a whole query: shards that run it find what one server would. What it is made of
 * otherwise is for others to judge.
 */
export function isPlainQuery(select: SelectStmt, analysis: Analysis): boolean {
  return every({ SelectStmt: select }, (part) => isPlainPart(part, analysis));
}

function every(node: Node, test: (part: Node) => boolean): boolean {
  if (!test(node)) return false;
  let plain = true;
  forEachChild(bodyOf(node), (child) => {
    plain &&= !('ColumnRef' in child && isRowStar(child.ColumnRef, node)) && every(child, test);
  });
  return plain;
}

function isPlainPart(part: Node, analysis: Analysis): boolean {
  if ('FuncCall' in part) return isPlainFunction(part.FuncCall.funcname, analysis);
  if ('SQLValueFunction' in part) return false;
  if ('A_Const' in part) return !clockWords.test(constOf(part)?.sval?.sval ?? '');
  if ('TypeCast' in part) {
    const type = part.TypeCast.typeName;
    return type !== undefined && isPlainType(qualifiedName(type.names).name);
  }
  if ('ColumnRef' in part) return !analysis.wholeRows.has(part.ColumnRef);
  if ('RangeVar' in part) {
    const view = analysis.views.get(part.RangeVar);
    return view === undefined || isPlainQuery(view.select, analysis);
  }
  if ('A_Indirection' in part) {
    // `(row).name` may call a function.
    return (part.A_Indirection.indirection ?? []).every((step) => !('String' in step));
  }
  return true;
}

/** Names of objects (`regclass`) mean other numbers on other servers. */
function isPlainType(name: string): boolean {
  return !name.startsWith('reg');
}

function isPlainFunction(funcname: readonly Node[] | undefined, analysis: Analysis): boolean {
  const { schema, name } = qualifiedName(funcname);
  if (analysis.names.userFunctions(schema, name).length > 0) return false;
  const { names, params, constants, walker, parser } = analysis;
  const own = new Analysis(names, params, constants, walker, parser);
  inspectName(schema, name, null, own);
  return own.volatileFunction === null && !own.readsCatalog && !own.writes;
}

/** Aggregates, windows and functions of many rows. */
function isSet(part: Node, analysis: Analysis): boolean {
  if (!('FuncCall' in part)) return false;
  const { name } = qualifiedName(part.FuncCall.funcname);
  const { setReturning, windowFunctions } = analysis.names.catalog;
  if (part.FuncCall.over !== undefined || isAggregate(part.FuncCall, analysis)) return true;
  return setReturning.has(name) || windowFunctions.has(name);
}

import type { Node } from '@pgsql/types';
import { TypeOid } from '../../keyspace/type-oids.js';
import { columnRefOf, constOf, qualifiedName } from '../ast.js';
import { bareColumn } from '../expressions.js';
import type { ScatterContext } from './scatter-context.js';

/** Built-in functions that give a float4 only if they are given one. */
const POLYMORPHIC = new Set(
  'abs ceil ceiling floor round trunc sign mod length char_length extract date_part'.split(' '),
);

/**
 * Whether an expression is, or may be, a float4. Arithmetic gives one only where all of its operands
 * are of this type.
 */
export function isFloat4(node: Node | undefined, scatter: ScatterContext): boolean {
  if (node === undefined) return true;
  const any = (nodes: readonly Node[] | undefined): boolean =>
    nodes?.some((item) => isFloat4(item, scatter)) ?? true;
  if (columnRefOf(node) !== null) return columnMayBe(node, scatter);
  const constant = constOf(node);
  if (constant !== null) return false;
  if ('TypeCast' in node) {
    const type = node.TypeCast.typeName;
    const oid = type === undefined ? 0 : scatter.analysis.names.typeOid(type);
    return oid === 0 || oid === TypeOid.float4;
  }
  if ('A_Expr' in node) {
    const { kind, lexpr, rexpr } = node.A_Expr;
    if (kind !== 'AEXPR_OP') return true;
    return (lexpr !== undefined && isFloat4(lexpr, scatter)) || isFloat4(rexpr, scatter);
  }
  if ('CoalesceExpr' in node) return any(node.CoalesceExpr.args);
  if ('CaseExpr' in node) {
    const { args, defresult } = node.CaseExpr;
    const results = (args ?? []).flatMap((arm) =>
      'CaseWhen' in arm && arm.CaseWhen.result !== undefined ? [arm.CaseWhen.result] : [],
    );
    return any(defresult === undefined ? results : [...results, defresult]);
  }
  if ('FuncCall' in node) {
    const { name } = qualifiedName(node.FuncCall.funcname);
    return !POLYMORPHIC.has(name) || any(node.FuncCall.args);
  }
  return true;
}

function columnMayBe(node: Node, { analysis, top }: ScatterContext): boolean {
  const type = bareColumn(node, analysis.places.get(top)!, analysis)?.type ?? 0;
  return type === 0 || type === TypeOid.float4;
}

import type { Node } from '@pgsql/types';
import { qualifiedName, selectOf, stringsOf } from './ast.js';

/**
 * The name that PostgreSQL gives to an unnamed output column (PostgreSQL 18, parse_target.c
 * FigureColnameInternal). It matters where it hides a column of a query further out.
 */
export function figureColumnName(node: Node | undefined): string {
  return named(node)?.name ?? '?column?';
}

/** A weak name (of a type) gives way to the name of what stands inside. */
interface Named {
  readonly name: string;
  readonly weak: boolean;
}

function strong(name: string): Named {
  return { name, weak: false };
}

function named(node: Node | undefined): Named | null {
  if (node === undefined) return null;
  if ('ColumnRef' in node) {
    const name = stringsOf(node.ColumnRef.fields).at(-1);
    return name === undefined ? null : strong(name);
  }
  if ('A_Indirection' in node) {
    const name = stringsOf(node.A_Indirection.indirection).at(-1);
    return name === undefined ? named(node.A_Indirection.arg) : strong(name);
  }
  if ('FuncCall' in node) return strong(qualifiedName(node.FuncCall.funcname).name);
  if ('A_Expr' in node) return node.A_Expr.kind === 'AEXPR_NULLIF' ? strong('nullif') : null;
  if ('TypeCast' in node) {
    const inner = named(node.TypeCast.arg);
    if (inner !== null && !inner.weak) return inner;
    return { name: qualifiedName(node.TypeCast.typeName?.names).name, weak: true };
  }
  if ('CollateClause' in node) return named(node.CollateClause.arg);
  if ('CaseExpr' in node) {
    const inner = named(node.CaseExpr.defresult);
    return inner !== null && !inner.weak ? inner : { name: 'case', weak: true };
  }
  if ('SubLink' in node) return namedSubLink(node);
  if ('MinMaxExpr' in node) return strong(node.MinMaxExpr.op === 'IS_LEAST' ? 'least' : 'greatest');
  if ('SQLValueFunction' in node) {
    const op = (node.SQLValueFunction.op ?? '').replace(/^SVFOP_/, '').replace(/_N$/, '');
    return strong(op.toLowerCase());
  }
  if ('XmlExpr' in node) {
    return strong((node.XmlExpr.op ?? '').replace(/^IS_/, '').toLowerCase());
  }
  const fixed = fixedNames.find(([kind]) => kind in node);
  return fixed === undefined ? null : strong(fixed[1]);
}

const fixedNames: readonly (readonly [kind: string, name: string])[] = [
  ['GroupingFunc', 'grouping'],
  ['MergeSupportFunc', 'merge_action'],
  ['A_ArrayExpr', 'array'],
  ['RowExpr', 'row'],
  ['CoalesceExpr', 'coalesce'],
  ['XmlSerialize', 'xmlserialize'],
  ['JsonParseExpr', 'json'],
  ['JsonScalarExpr', 'json_scalar'],
  ['JsonSerializeExpr', 'json_serialize'],
  ['JsonObjectConstructor', 'json_object'],
  ['JsonArrayConstructor', 'json_array'],
  ['JsonArrayQueryConstructor', 'json_array'],
  ['JsonObjectAgg', 'json_objectagg'],
  ['JsonArrayAgg', 'json_arrayagg'],
];

function namedSubLink(node: Extract<Node, { SubLink: unknown }>): Named | null {
  const link = node.SubLink;
  switch (link.subLinkType) {
    case 'EXISTS_SUBLINK':
      return strong('exists');
    case 'ARRAY_SUBLINK':
      return strong('array');
    case 'EXPR_SUBLINK': {
      let select = selectOf(link.subselect);
      while (select?.larg !== undefined) select = select.larg;
      const target = select?.targetList?.[0];
      if (target === undefined || !('ResTarget' in target)) return null;
      if (target.ResTarget.name !== undefined) return strong(target.ResTarget.name);
      return named(target.ResTarget.val);
    }
    default:
      return null;
  }
}

import type { Node } from '@pgsql/types';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { constOf, hasModifiers, isOperator } from './ast.js';
import { integerConstant } from './integer-constants.js';
import { typeFamily, type KeyValue, type Variable } from './model.js';
import { keepsValue } from './params.js';

/**
 * A constant or parameter, with casts that keep its value: strings take the cast's type, integers
 * stay integers; or integer arithmetic on constants. Null for every other expression.
 */
export function valueOf(node: Node, analysis: Analysis): KeyValue | null {
  if ('ParamRef' in node) {
    return { source: { kind: 'param', index: (node.ParamRef.number ?? 0) - 1 }, type: 0 };
  }
  const constant = constOf(node);
  if (constant !== null) return analysis.constants.value(constant);
  if ('A_Expr' in node) return computedValue(node, analysis);
  if (!('TypeCast' in node) || node.TypeCast.typeName === undefined) return null;
  const { arg, typeName } = node.TypeCast;
  if (arg === undefined || hasModifiers(typeName) || typeName.arrayBounds !== undefined)
    return null;
  const type = analysis.names.typeOid(typeName);
  const value = type === 0 ? null : valueOf(arg, analysis);
  if (value === null) return null;
  if (value.type === 0 || value.type === TypeOid.unknown) return { source: value.source, type };
  if (!keepsValue(value.type, type)) return null;
  // Of several casts the innermost one says in which form the value arrives.
  return 'TypeCast' in arg ? value : { source: value.source, type };
}

const numberTypes: readonly number[] = [TypeOid.int2, TypeOid.int4, TypeOid.int8, TypeOid.numeric];

/** `+5`, which is the number itself, and `100 + 10`. */
function computedValue(
  node: Extract<Node, { A_Expr: unknown }>,
  analysis: Analysis,
): KeyValue | null {
  const { kind, name, lexpr, rexpr } = node.A_Expr;
  if (kind === 'AEXPR_OP' && lexpr === undefined && rexpr !== undefined && isOperator(name, '+')) {
    const value = analysis.names.builtinsFirst ? valueOf(rexpr, analysis) : null;
    return value !== null && numberTypes.includes(value.type) ? value : null;
  }
  const constant = integerConstant(node, analysis);
  if (constant === null) return null;
  const bytes = new TextEncoder().encode(String(constant.value));
  return { source: { kind: 'constant', bytes }, type: constant.type };
}

/**
 * The elements of an array that a column of this variable is compared with; null where they cannot
 * be told.
 */
export function arrayValues(node: Node, column: Variable, analysis: Analysis): KeyValue[] | null {
  if ('ParamRef' in node) {
    return [{ source: { kind: 'paramArray', index: (node.ParamRef.number ?? 0) - 1 }, type: 0 }];
  }
  if ('A_ArrayExpr' in node) {
    const values = (node.A_ArrayExpr.elements ?? []).map((item) => valueOf(item, analysis));
    const known = values.filter((value) => value !== null);
    if (known.length !== values.length || known.length === 0) return null;
    // ARRAY[...] finds its type without the column: only items that say theirs, and agree, can be
    // believed.
    const agree = known.every(
      (value) =>
        value.type !== 0 &&
        value.type !== TypeOid.unknown &&
        typeFamily(value.type) === typeFamily(known[0]!.type),
    );
    return agree ? known : null;
  }
  if (constOf(node)?.sval !== undefined) return arrayLiteral(node, column.type, analysis);
  if (!('TypeCast' in node) || node.TypeCast.typeName === undefined) return null;
  const { arg, typeName } = node.TypeCast;
  if (arg === undefined || typeName.arrayBounds === undefined || hasModifiers(typeName))
    return null;
  const type = analysis.names.typeOid(typeName);
  if (type === 0) return null;
  if ('ParamRef' in arg) {
    return [{ source: { kind: 'paramArray', index: (arg.ParamRef.number ?? 0) - 1 }, type }];
  }
  return constOf(arg)?.sval === undefined ? null : arrayLiteral(arg, type, analysis);
}

/** '{1,2,3}' without quotes, nesting or NULLs, which is how arrays of keys are written. */
function arrayLiteral(node: Node, type: number, analysis: Analysis): KeyValue[] | null {
  const text = analysis.constants.pinned(constOf(node)!);
  const match = /^\s*\{([\w+\-.,\s]*)\}\s*$/.exec(text ?? '');
  if (match === null || type === 0) return null;
  const items = match[1]!.split(',').map((item) => item.trim());
  if (items.some((item) => item === '' || item.toLowerCase() === 'null')) return null;
  const encoder = new TextEncoder();
  return items.map((item) => ({
    source: { kind: 'constant', bytes: encoder.encode(item) },
    type,
  }));
}

/**
 * Whether untyped items of a list are read as the column's type, as KeyValues says. A list with a
 * numeric in it is numeric altogether, and so on: there, strings and parameters would mean
 * something else.
 */
export function hasCommonType(values: readonly KeyValue[], column: Variable): boolean {
  const isUntyped = (value: KeyValue): boolean => value.type === 0 || isUntypedString(value);
  if (!values.some(isUntyped)) return true;
  return values.every(
    (value) => isUntyped(value) || isNull(value) || isNoWider(value.type, column.type),
  );
}

/** Whether the common type of the two is the column's. */
function isNoWider(type: number, columnType: number): boolean {
  if (type === columnType) return true;
  const narrower: readonly number[] =
    columnType === TypeOid.int8
      ? [TypeOid.int2, TypeOid.int4]
      : columnType === TypeOid.int4
        ? [TypeOid.int2]
        : [];
  return narrower.includes(type);
}

function isNull(value: KeyValue): boolean {
  return value.source.kind === 'constant' && value.source.bytes === null;
}

function isUntypedString(value: KeyValue): boolean {
  return value.type === TypeOid.unknown && !isNull(value);
}

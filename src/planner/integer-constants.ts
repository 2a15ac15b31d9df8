import type { A_Expr, Node, TypeCast } from '@pgsql/types';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { constOf, hasModifiers, isOperator } from './ast.js';

/** An integer known at planning, with the type that PostgreSQL gives to its expression. */
export interface IntegerConstant {
  readonly value: bigint;
  /** Type OID: int2, int4 or int8. */
  readonly type: number;
}

/** Bits of the integer types, by type OID. */
const widths: ReadonlyMap<number, number> = new Map([
  [TypeOid.int2, 16],
  [TypeOid.int4, 32],
  [TypeOid.int8, 64],
]);

type Arithmetic = (left: bigint, right: bigint) => bigint | null;

/** The operators of PostgreSQL 18, 9.3, that give integers for integers and depend on nothing else. */
const binary: ReadonlyMap<string, Arithmetic> = new Map<string, Arithmetic>([
  ['+', (left, right) => left + right],
  ['-', (left, right) => left - right],
  ['*', (left, right) => left * right],
  // Truncates towards zero, and the remainder has the dividend's sign, as with BigInt.
  ['/', (left, right) => (right === 0n ? null : left / right)],
  ['%', (left, right) => (right === 0n ? null : left % right)],
  ['&', (left, right) => left & right],
  ['|', (left, right) => left | right],
  ['#', (left, right) => left ^ right],
]);

const unary: ReadonlyMap<string, (value: bigint) => bigint> = new Map([
  ['+', (value) => value],
  ['-', (value) => -value],
  ['~', (value) => ~value],
]);

/**
 * The value of an expression made of integer literals, casts to integer types and built-in
 * operators; null for every other one, and where PostgreSQL raises an error (overflow, division by
 * zero). The plan then depends on the literals.
 */
export function integerConstant(node: Node, analysis: Analysis): IntegerConstant | null {
  if ('TypeCast' in node) return castConstant(node.TypeCast, analysis);
  if ('A_Expr' in node) return computed(node.A_Expr, analysis);
  const constant = constOf(node);
  if (constant === null || (constant.ival === undefined && constant.fval === undefined))
    return null;
  const value = decimal(analysis.constants.pinned(constant));
  if (value === null) return null;
  return fitting(value, TypeOid.int4) ?? fitting(value, TypeOid.int8);
}

function castConstant(cast: TypeCast, analysis: Analysis): IntegerConstant | null {
  const { arg, typeName } = cast;
  if (arg === undefined || typeName === undefined) return null;
  if (hasModifiers(typeName) || typeName.arrayBounds !== undefined) return null;
  const type = analysis.names.typeOid(typeName);
  const text = constOf(arg);
  const value =
    text?.sval === undefined
      ? integerConstant(arg, analysis)?.value
      : decimal(analysis.constants.pinned(text));
  return value === undefined || value === null ? null : fitting(value, type);
}

function computed(expression: A_Expr, analysis: Analysis): IntegerConstant | null {
  const { kind, name, lexpr, rexpr } = expression;
  // Behind other schemas, an operator of theirs for the same types would come first.
  if (kind !== 'AEXPR_OP' || rexpr === undefined || !analysis.names.builtinsFirst) return null;
  const right = integerConstant(rexpr, analysis);
  if (right === null) return null;
  if (lexpr === undefined) {
    const operator = operatorOf(name, unary);
    return operator === null ? null : fitting(operator(right.value), right.type);
  }
  const operator = operatorOf(name, binary);
  const left = operator === null ? null : integerConstant(lexpr, analysis);
  const value = left === null ? null : operator!(left.value, right.value);
  if (value === null) return null;
  return fitting(value, wider(left!.type, right.type));
}

function operatorOf<T>(name: A_Expr['name'], operators: ReadonlyMap<string, T>): T | null {
  for (const [symbol, operator] of operators) if (isOperator(name, symbol)) return operator;
  return null;
}

function wider(a: number, b: number): number {
  return widths.get(a)! >= widths.get(b)! ? a : b;
}

/** The value as that type; null where it is out of range, or the type holds no integers. */
function fitting(value: bigint, type: number): IntegerConstant | null {
  const width = widths.get(type);
  if (width === undefined || BigInt.asIntN(width, value) !== value) return null;
  return { value, type };
}

function decimal(text: string | null): bigint | null {
  return text !== null && /^[+-]?\d{1,19}$/.test(text) ? BigInt(text.replace('+', '')) : null;
}

import type { ColumnRef, Node } from '@pgsql/types';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Column, Row, Value } from './column.js';

/** Values of `$1` and so on; all are text. */
export type Params = readonly (string | null)[];

/** Gives a value for a row. */
export type Operand = (row: Row, params: Params) => Value;

/** What compiling finds out about a text beside its meaning. */
export interface Uses {
  paramCount: number;
}

/** A constant or parameter; null: the node is something else. */
export function constantOf(node: Node, uses: Uses): Operand | null {
  if ('ParamRef' in node) {
    const number = node.ParamRef.number ?? 0;
    if (number < 1) throw sqlError('undefined_parameter', `there is no parameter $${number}`);
    uses.paramCount = Math.max(uses.paramCount, number);
    return (_row, params) => params[number - 1] ?? null;
  }
  if ('A_Expr' in node && node.A_Expr.lexpr === undefined && node.A_Expr.rexpr !== undefined) {
    const [name] = node.A_Expr.name ?? [];
    const inner = constantOf(node.A_Expr.rexpr, uses);
    if (inner === null || name === undefined || !('String' in name)) return null;
    if (name.String.sval !== '-') return null;
    return (row, params) => -Number(inner(row, params));
  }
  if (!('A_Const' in node)) return null;
  const value = constantValue(node.A_Const);
  return () => value;
}

function constantValue(constant: Extract<Node, { A_Const: unknown }>['A_Const']): Value {
  if (constant.isnull === true) return null;
  if (constant.sval !== undefined) return constant.sval.sval ?? '';
  if (constant.boolval !== undefined) return constant.boolval.boolval ?? false;
  if (constant.fval !== undefined) return Number(constant.fval.fval);
  // Zero is left out of the tree.
  if (constant.ival !== undefined) return constant.ival.ival ?? 0;
  throw unsupported('a bit string');
}

/** The place of a column. Throws SqlError 42703. */
export function columnIndex({ fields }: ColumnRef, columns: readonly Column[]): number {
  const field = fields?.length === 1 ? fields[0] : undefined;
  if (field === undefined || !('String' in field)) throw unsupported('a qualified name');
  const name = field.String.sval ?? '';
  const index = columns.findIndex((column) => column.name === name);
  if (index >= 0) return index;
  throw sqlError('undefined_column', `column "${name}" does not exist`, {
    hint: `There are ${columns.map((column) => column.name).join(', ')}.`,
  });
}

/** Throws SqlError 22P02 where a value is none. */
export function numberOf(value: string | number | boolean): number {
  if (typeof value === 'number') return value;
  const text = String(value).trim();
  const number = text === '' ? NaN : Number(text);
  if (!Number.isNaN(number)) return number;
  throw sqlError('invalid_text_representation', `invalid input syntax for a number: "${value}"`);
}

/** Throws SqlError 22P02. */
export function wholeNumber(value: string | number | boolean): number {
  const number = numberOf(value);
  if (Number.isSafeInteger(number)) return number;
  throw sqlError('invalid_text_representation', `invalid input syntax for a count: "${value}"`);
}

/** Throws SqlError 22P02. */
export function booleanOf(value: string | number | boolean): boolean {
  if (typeof value === 'boolean') return value;
  const text = String(value).trim().toLowerCase();
  if (['t', 'true', 'yes', 'on', '1'].includes(text)) return true;
  if (['f', 'false', 'no', 'off', '0'].includes(text)) return false;
  throw sqlError(
    'invalid_text_representation',
    `invalid input syntax for type boolean: "${value}"`,
  );
}

/** Says what conditions may hold. */
export function unsupported(what: string): SqlError {
  return sqlError('feature_not_supported', `${what} is not supported on the console`, {
    hint:
      'Conditions are made of columns, constants, =, <>, <, <=, >, >=, LIKE, ILIKE, IN, BETWEEN, ' +
      'IS NULL, AND, OR and NOT.',
  });
}

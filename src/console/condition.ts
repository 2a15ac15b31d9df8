import type { A_Expr, BoolExpr, Node } from '@pgsql/types';
import { isNumber, type Column, type Row, type Value } from './column.js';
import { compareValues } from './compare-rows.js';
import { isLike } from './like.js';
import {
  booleanOf,
  columnIndex,
  constantOf,
  numberOf,
  unsupported,
  type Operand,
  type Params,
  type Uses,
} from './operand.js';

/** A condition over a row, by SQL's three-valued logic; null: unknown. */
export type Condition = (row: Row, params: Params) => boolean | null;

type Family = 'number' | 'text' | 'bool';
type Test = (order: number) => boolean;

const COMPARISONS: Readonly<Record<string, Test>> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

/**
 * The meaning of a WHERE clause. `uses` learns of parameters. Throws SqlError: 42703, 0A000 for what conditions cannot
 * hold. Running it throws 22P02 where a constant is not of its column's type.
 */
export function compileCondition(node: Node, columns: readonly Column[], uses: Uses): Condition {
  if ('BoolExpr' in node) return logical(node.BoolExpr, columns, uses);
  if ('NullTest' in node) {
    const { arg, nulltesttype } = node.NullTest;
    const { value } = side(need(arg), columns, uses);
    const wanted = nulltesttype === 'IS_NULL';
    return (row, params) => (value(row, params) === null) === wanted;
  }
  if ('A_Expr' in node) return expression(node.A_Expr, columns, uses);
  const { value, family } = side(node, columns, uses);
  if (family === 'number' || family === 'text') throw unsupported('a condition that is no boolean');
  return (row, params) => {
    const given = value(row, params);
    return given === null ? null : booleanOf(given);
  };
}

function logical({ boolop, args }: BoolExpr, columns: readonly Column[], uses: Uses): Condition {
  const parts = (args ?? []).map((arg) => compileCondition(arg, columns, uses));
  if (boolop === 'NOT_EXPR') return negated(parts[0]!);
  // Of AND false decides, of OR true; else unknown parts make it unknown.
  const deciding = boolop === 'OR_EXPR';
  return (row, params) => {
    let result: boolean | null = !deciding;
    for (const part of parts) {
      const value = part(row, params);
      if (value === deciding) return deciding;
      if (value === null) result = null;
    }
    return result;
  };
}

function negated(condition: Condition): Condition {
  return (row, params) => {
    const value = condition(row, params);
    return value === null ? null : !value;
  };
}

function expression(node: A_Expr, columns: readonly Column[], uses: Uses): Condition {
  const name = operatorName(node);
  const left = need(node.lexpr);
  const right = need(node.rexpr);
  switch (node.kind) {
    case 'AEXPR_OP': {
      const test = COMPARISONS[name];
      if (test === undefined) throw unsupported(`operator ${name}`);
      return comparison(left, right, test, columns, uses);
    }
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE': {
      const like = matching(left, right, node.kind === 'AEXPR_ILIKE', columns, uses);
      return name.startsWith('!') ? negated(like) : like;
    }
    case 'AEXPR_IN': {
      const equal = listItems(right).map((item) =>
        comparison(left, item, COMPARISONS['=']!, columns, uses),
      );
      const any: Condition = (row, params) => anyOf(equal, row, params);
      return name === '<>' ? negated(any) : any;
    }
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN': {
      const [from, to] = listItems(right);
      const above = comparison(left, need(from), COMPARISONS['>=']!, columns, uses);
      const below = comparison(left, need(to), COMPARISONS['<=']!, columns, uses);
      const between: Condition = (row, params) => bothOf(above, below, row, params);
      return node.kind === 'AEXPR_BETWEEN' ? between : negated(between);
    }
    default:
      throw unsupported('a condition of this kind');
  }
}

function anyOf(parts: readonly Condition[], row: Row, params: Params): boolean | null {
  const values = parts.map((part) => part(row, params));
  return values.includes(true) ? true : values.includes(null) ? null : false;
}

function bothOf(a: Condition, b: Condition, row: Row, params: Params): boolean | null {
  const values = [a(row, params), b(row, params)];
  return values.includes(false) ? false : values.includes(null) ? null : true;
}

function comparison(
  left: Node,
  right: Node,
  test: Test,
  columns: readonly Column[],
  uses: Uses,
): Condition {
  const a = side(left, columns, uses);
  const b = side(right, columns, uses);
  const family = commonFamily(a.family, b.family);
  return (row, params) => {
    const x = a.value(row, params);
    const y = b.value(row, params);
    if (x === null || y === null) return null;
    return test(compareValues(converted(x, family), converted(y, family)));
  };
}

/** A constant takes the type of the column that it is compared with; constants among themselves are text. */
function commonFamily(a: Family | null, b: Family | null): Family {
  if (a !== null && b !== null && a !== b) throw unsupported(`comparing ${a} with ${b}`);
  return a ?? b ?? 'text';
}

function converted(value: Exclude<Value, null>, family: Family): Exclude<Value, null> {
  if (family === 'number') return numberOf(value);
  return family === 'bool' ? booleanOf(value) : String(value);
}

function matching(
  left: Node,
  right: Node,
  anyCase: boolean,
  columns: readonly Column[],
  uses: Uses,
): Condition {
  const { value } = side(left, columns, uses);
  const pattern = constantOf(right, uses);
  if (pattern === null) throw unsupported('LIKE of something else than a constant');
  return (row, params) => {
    const text = value(row, params);
    const like = pattern(row, params);
    if (text === null || like === null) return null;
    const fold = (value: string): string => (anyCase ? value.toLowerCase() : value);
    return isLike(fold(String(text)), fold(String(like)));
  };
}

/** A column, or a constant, whose family what it is compared with decides. */
function side(
  node: Node,
  columns: readonly Column[],
  uses: Uses,
): { readonly value: Operand; readonly family: Family | null } {
  const constant = constantOf(node, uses);
  if (constant !== null) return { value: constant, family: null };
  if (!('ColumnRef' in node)) throw unsupported('an expression');
  const index = columnIndex(node.ColumnRef, columns);
  const { type } = columns[index]!;
  const family = type === 'bool' ? 'bool' : isNumber(type) ? 'number' : 'text';
  return { value: (row) => row[index] ?? null, family };
}

function operatorName({ name }: A_Expr): string {
  const last = name?.at(-1);
  return last !== undefined && 'String' in last ? (last.String.sval ?? '') : '';
}

function listItems(node: Node): readonly Node[] {
  if ('List' in node) return node.List.items ?? [];
  throw unsupported('IN with a sub-select');
}

function need(node: Node | undefined): Node {
  if (node === undefined) throw unsupported('half an expression');
  return node;
}

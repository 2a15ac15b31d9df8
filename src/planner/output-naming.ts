import type { Node } from '@pgsql/types';
import { kindOf } from './ast.js';

/** How an expression that is to be replaced stands to the name of its output column. */
export type Naming =
  /** It has none, or does not depend on it. */
  | 'none'
  /** The expression itself gives the name. */
  | 'own'
  /** Something around it takes its name from it. */
  | 'inherited';

/** Expressions whose column is called something else than what stands in them. */
export const namesItself = new Set([
  'A_Expr',
  'BoolExpr',
  'FuncCall',
  'CoalesceExpr',
  'MinMaxExpr',
  'NullTest',
]);

/** The same for what stands in a node of which `naming` is known. */
export function namingInside(node: Node, naming: Naming): Naming {
  if ('ResTarget' in node) return node.ResTarget.name === undefined ? 'own' : 'none';
  if ('SelectStmt' in node || 'InsertStmt' in node || naming === 'none') return 'none';
  return namesItself.has(kindOf(node)) ? 'none' : 'inherited';
}

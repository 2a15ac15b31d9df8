import type { FuncCall, Node, RangeVar, SelectStmt } from '@pgsql/types';
import { columnRefOf, constOf, isOperator, qualifiedName, stringsOf } from './ast.js';
import type { Names } from './names.js';
import type { RoutePlan } from './plan.js';
import { routePlan } from './plans.js';
import { CATALOG_ROUTE } from './routing.js';
import { checkSetting, isTrue } from './setting-rules.js';
import type { StatementContext } from './statement-context.js';

/**
 * `SELECT set_config(name, value, local) FROM pg_settings WHERE name = '...'`, by which pg_dump sets what not every
 * server knows. Null: it is something else. Throws Refused.
 */
export function planListedSetting(
  select: SelectStmt,
  { names, constants }: StatementContext,
): RoutePlan | null {
  const { targetList = [], fromClause = [], whereClause, ...others } = select;
  const call = onlyCall(targetList);
  if (call === null || !isSettings(fromClause, names) || !isPlain(others)) return null;
  const [name, value, local, ...more] = [comparedName(whereClause), ...(call.args ?? []).slice(1)];
  const given = [name, value, local].map((node) => constOf(node));
  const [setting, text, isLocal] = given.map((it) => (it === null ? null : constants.pinned(it)));
  if (setting === null || text === null || isLocal === null || more.length > 0) return null;
  if (setting === undefined || text === undefined || isLocal === undefined) return null;
  const effect = { name: setting.toLowerCase(), value: text, local: isTrue(isLocal) };
  checkSetting(effect);
  const effects = names.catalog.settingNames?.has(setting) === true ? [effect] : null;
  return { ...routePlan('select', false, CATALOG_ROUTE), effects };
}

/** The one target, `set_config(name, ...)`. */
function onlyCall(targets: readonly Node[]): FuncCall | null {
  const [target] = targets;
  if (targets.length !== 1 || target === undefined || !('ResTarget' in target)) return null;
  const { val } = target.ResTarget;
  if (val === undefined || !('FuncCall' in val)) return null;
  const { schema, name } = qualifiedName(val.FuncCall.funcname);
  const isSet = name === 'set_config' && (schema === null || schema === 'pg_catalog');
  return isSet && isName(val.FuncCall.args?.[0]) ? val.FuncCall : null;
}

function isName(node: Node | undefined): boolean {
  return stringsOf(columnRefOf(node)?.fields).join('.') === 'name';
}

/** The system's own view of the settings, and nothing else. */
function isSettings(from: readonly Node[], names: Names): boolean {
  const [first] = from;
  if (from.length !== 1 || first === undefined || !('RangeVar' in first)) return false;
  const { relname, schemaname, alias }: RangeVar = first.RangeVar;
  if (relname !== 'pg_settings' || alias !== undefined) return false;
  if (schemaname !== undefined) return schemaname === 'pg_catalog';
  for (const { schema, name } of names.catalog.relations.values()) {
    if (name === relname && schema !== 'pg_catalog') return false;
  }
  return names.userFunctions(null, 'set_config').length === 0;
}

/** What `name` is compared with by `=`, where that is all there is. */
function comparedName(where: Node | undefined): Node | undefined {
  if (where === undefined || !('A_Expr' in where)) return undefined;
  const { kind, name, lexpr, rexpr } = where.A_Expr;
  const equals = kind === 'AEXPR_OP' && isOperator(name, '=') && isName(lexpr);
  return equals ? rexpr : undefined;
}

/** No clause but those that every tree has. */
function isPlain(clauses: object): boolean {
  return Object.keys(clauses).every((clause) => clause === 'limitOption' || clause === 'op');
}

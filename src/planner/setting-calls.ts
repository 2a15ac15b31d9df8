import type { FuncCall, Node, SelectStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { bodyOf, constOf, forEachChild, qualifiedName } from './ast.js';
import { refuse } from './refusals.js';
import { checkSetting, isTrue, TRANSACTION_SETTINGS } from './setting-rules.js';

/** set_config(name, value, is_local): kept as the statement's effect, applied once it succeeded. */
export function recordSetting(call: FuncCall, analysis: Analysis): void {
  const [name, value, local] = (call.args ?? []).map((argument) =>
    settingArgument(argument, analysis),
  );
  if (name === undefined || value === undefined || local === undefined) refuseSetting();
  if (name.text === null || local.text === null) refuseSetting();
  const params = { name: name.param, value: value.param, local: local.param };
  const bound = Object.values(params).some((param) => param !== null);
  const effect = { name: name.text.toLowerCase(), value: value.text, local: isTrue(local.text) };
  analysis.effects.push(bound ? { ...effect, params } : effect);
}

function refuseSetting(): never {
  refuse(
    'function "set_config" is only supported with constants and parameters',
    "Use SET, or set_config('name', $1, false).",
  );
}

/** An argument of set_config: a constant's text, or a parameter (0-based); undefined: anything else. */
function settingArgument(
  argument: Node,
  analysis: Analysis,
): { readonly text: string | null; readonly param: number | null } | undefined {
  const cast = 'TypeCast' in argument ? argument.TypeCast : null;
  const inner = cast?.arg ?? argument;
  if ('ParamRef' in inner) {
    const type = cast === null ? 'text' : qualifiedName(cast.typeName?.names).name;
    if (type !== 'text' && type !== 'bool') return undefined;
    return { text: '', param: (inner.ParamRef.number ?? 1) - 1 };
  }
  const constant = constOf(inner);
  const text = constant === null ? undefined : analysis.constants.pinned(constant);
  return text === undefined ? undefined : { text, param: null };
}

/**
 * Refuses a SELECT that may call set_config for no row, for many, or under a condition: then nobody
 * could tell what the session has become.
 */
export function checkSettingCalls(select: SelectStmt, analysis: Analysis): void {
  const { effects } = analysis;
  if (effects.length === 0) return;
  for (const effect of effects) checkSetting(effect);
  const transactions = effects.find(({ name }) => TRANSACTION_SETTINGS.has(name));
  if (transactions !== undefined) {
    refuse(
      `set_config of "${transactions.name}" is not supported`,
      'Use SET TRANSACTION, in front of the first query.',
    );
  }
  const { targetList = [], whereClause, limitCount, limitOffset, groupClause } = select;
  const conditions = [whereClause, limitCount, limitOffset, groupClause, select.havingClause];
  const direct = targetList.filter((target) => isSettingCall(target)).length;
  const manyRows = targetList.some((target) => givesRows(target, analysis));
  const conditional = conditions.some((clause) => clause !== undefined);
  if (direct === effects.length && !manyRows && !conditional) return;
  refuse(
    'function "set_config" is only supported in a SELECT of its own',
    'Run SELECT set_config(...) without FROM and conditions, or SET, as a statement of its own.',
  );
}

/** Whether a target is the call itself, perhaps under a cast. */
function isSettingCall(target: Node): boolean {
  let value = 'ResTarget' in target ? target.ResTarget.val : undefined;
  while (value !== undefined && 'TypeCast' in value) value = value.TypeCast.arg;
  if (value === undefined || !('FuncCall' in value)) return false;
  return qualifiedName(value.FuncCall.funcname).name === 'set_config';
}

/** Whether a function in it may give several rows, or none. */
function givesRows(node: Node, analysis: Analysis): boolean {
  if ('FuncCall' in node) {
    const { schema, name } = qualifiedName(node.FuncCall.funcname);
    const { names } = analysis;
    if (names.catalog.setReturning.has(name)) return true;
    if (names.userFunctions(schema, name).length > 0) return true;
  }
  let found = false;
  forEachChild(bodyOf(node), (child) => {
    found ||= givesRows(child, analysis);
  });
  return found;
}

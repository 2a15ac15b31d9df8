import type { Node, VariableSetStmt } from '@pgsql/types';
import { constOf, constText, defElemText } from './ast.js';
import type { Plan, SettingEffect } from './plan.js';
import { localPlan } from './plans.js';
import { refuse } from './refusals.js';
import { checkSetting, TRANSACTION_SETTINGS } from './setting-rules.js';
import { quoteIdentifier } from '../sql/quote.js';

/**
 * Settings whose list items SET quotes as identifiers (PostgreSQL 18, guc_tables.c,
 * GUC_LIST_QUOTE).
 */
const quotedLists = new Set([
  'search_path',
  'temp_tablespaces',
  'local_preload_libraries',
  'session_preload_libraries',
  'shared_preload_libraries',
  'unix_socket_directories',
]);

/** SET, SET LOCAL, RESET, SET TRANSACTION and SET SESSION CHARACTERISTICS. */
export function planSet(statement: VariableSetStmt): Plan {
  const name = (statement.name ?? '').toLowerCase();
  const local = statement.is_local === true;
  switch (statement.kind) {
    case 'VAR_RESET_ALL':
      return setPlan([{ name: '*', value: null, local: false }]);
    case 'VAR_RESET':
    case 'VAR_SET_DEFAULT':
      // Nobody is anybody else here, so all that going back to the login's user does is to leave a role.
      if (name === 'session_authorization') return setPlan([{ name: 'role', value: null, local }]);
      return setPlan([{ name, value: null, local }]);
    case 'VAR_SET_MULTI':
      return setPlan(transactionSettings(statement));
    case 'VAR_SET_CURRENT':
      return refuse('SET ... FROM CURRENT is not supported', 'Give the value.');
    default: {
      const value = settingValue(name, statement.args ?? []);
      return setPlan([{ name, value, local: local || TRANSACTION_SETTINGS.has(name) }]);
    }
  }
}

function setPlan(effects: readonly SettingEffect[]): Plan {
  for (const effect of effects) checkSetting(effect);
  const [effect, ...more] = effects;
  if (effect === undefined) refuse('an empty SET is not supported', 'Name a setting.');
  return localPlan('set', { kind: 'set', effect, ...(more.length === 0 ? {} : { more }) });
}

/**
 * SET TRANSACTION sets `transaction_*` for the transaction, SESSION CHARACTERISTICS
 * `default_transaction_*`.
 */
function transactionSettings(statement: VariableSetStmt): SettingEffect[] {
  if (statement.name === 'TRANSACTION SNAPSHOT') {
    refuse(
      'SET TRANSACTION SNAPSHOT is not supported: a snapshot belongs to one server',
      'Import the snapshot on a direct connection to the shard.',
    );
  }
  const session = statement.name === 'SESSION CHARACTERISTICS';
  return (statement.args ?? []).map((node) => {
    const option = 'DefElem' in node ? node.DefElem : {};
    const name = option.defname ?? '';
    const text = defElemText(option) ?? '';
    const value = name === 'transaction_isolation' ? text : text === '0' ? 'off' : 'on';
    return { name: session ? `default_${name}` : name, value, local: !session };
  });
}

/** A SET value as set_config takes it (PostgreSQL 18, guc_funcs.c flatten_set_variable_args). */
function settingValue(name: string, args: readonly Node[]): string {
  const parts = args.map((node) => {
    const offset = name === 'timezone' ? intervalOffset(node) : null;
    if (offset !== null) return offset;
    const constant = constOf(node);
    if (constant === null) {
      refuse(
        `this value of setting "${name}" is not supported`,
        name === 'timezone'
          ? "Write the time zone as a name or an offset, as in SET TIME ZONE 'UTC'."
          : 'Give the value as a constant.',
      );
    }
    const text = constText(constant) ?? '';
    return quotedLists.has(name) && constant.sval !== undefined ? quoteIdentifier(text) : text;
  });
  return parts.join(', ');
}

/** INTERVAL ... HOUR TO MINUTE as the parser gives it (PostgreSQL 18, datetime.h INTERVAL_MASK). */
const HOUR_TO_MINUTE = (1 << 10) | (1 << 11);

/** `SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE`, in hours and minutes; null: it is none. */
function intervalOffset(node: Node): string | null {
  if (!('TypeCast' in node)) return null;
  const { arg, typeName } = node.TypeCast;
  const text = constOf(arg)?.sval?.sval ?? '';
  const [range, precision] = (typeName?.typmods ?? []).map((mod) => constOf(mod)?.ival?.ival);
  if (!/^[+-]?\d{1,2}:\d{2}$/.test(text) || precision !== undefined) return null;
  return range === undefined || range === HOUR_TO_MINUTE ? `INTERVAL '${text}'` : null;
}

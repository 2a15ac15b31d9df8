import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import { isOwnSetting, ownSettings, type OwnSetting } from '../keyspace/own-settings.js';
import type { SettingEffect } from '../planner/plan.js';
import { isReadEncoding } from '../planner/setting-rules.js';
import { quoteLiteral } from '../sql/quote.js';

type Values = ReadonlyMap<string, string>;

/**
 * The settings a session has changed (SET, set_config, startup parameters). They follow it to whatever backend it gets;
 * `key` is equal for equal settings, so that one comparison tells whether a backend needs anything.
 */
export class SessionSettings {
  /** What RESET goes back to: the settings of the startup message. */
  private base: Values = EMPTY;
  private values: Values = EMPTY;
  /** Names that the session has made up (`my.var`): once named they read as '' and never as unknown again. */
  private readonly made = new Set<string>();
  /** Those, and names of that kind among the values. */
  private names: ReadonlySet<string> = NO_NAMES;
  private cachedKey = '';

  get key(): string {
    return this.cachedKey;
  }

  get current(): Values {
    return this.values;
  }

  get(name: string): string | undefined {
    return this.values.get(name);
  }

  /** What the startup message set it to. */
  baseValue(name: string): string | undefined {
    return this.base.get(name);
  }

  setBase(values: Values): void {
    this.base = values;
    this.replace(values);
  }

  /** What a RESET goes back to, of the settings that the startup message gave. */
  baseOf(effect: SettingEffect): Values {
    if (effect.value !== null) return EMPTY;
    if (effect.name === '*') return this.base;
    const value = this.base.get(effect.name);
    return value === undefined ? EMPTY : new Map([[effect.name, value]]);
  }

  /** The session names a setting, which servers know from then on if they did not. */
  name({ name }: SettingEffect): void {
    if (!isMadeUp(name) || this.made.has(name)) return;
    this.made.add(name);
    this.replace(this.values);
  }

  /** Whether the session has named all of these. */
  knows(names: ReadonlySet<string>): boolean {
    for (const name of names) if (!this.names.has(name)) return false;
    return true;
  }

  /** The backend has got the session's settings, or runs what sets them. */
  noteMade({ madeNames }: Pick<BackendConnection, 'madeNames'>): void {
    if (this.names.size > 0) for (const name of this.names) madeNames.add(name);
  }

  apply(effect: SettingEffect): void {
    this.name(effect);
    if (effect.local) return;
    if (effect.name === '*') {
      this.replace(this.afterResetAll());
      return;
    }
    const next = new Map(this.values);
    const value = effect.value ?? this.base.get(effect.name);
    if (value === undefined) next.delete(effect.name);
    else next.set(effect.name, value);
    this.replace(next);
  }

  /** RESET ALL leaves the role alone (PostgreSQL 18, guc_tables.c, GUC_NO_RESET_ALL). */
  private afterResetAll(): Values {
    const role = this.values.get('role');
    return role === undefined ? this.base : new Map([...this.base, ['role', role]]);
  }

  /** Back to what `current` was when the transaction began. */
  restore(values: Values): void {
    this.replace(values);
  }

  reset(): void {
    this.replace(this.base);
  }

  /** Equal for backends that nothing must be done for, so that they have these values of the session. */
  keyOf(values: Values): string {
    if (values.size === 0 && this.made.size === 0) return '';
    const names = [...values.keys()].sort();
    const settings = names.map((name) => `${name}\0${values.get(name)!}`);
    return [...settings, ...[...this.made].sort()].join('\0\0');
  }

  /**
   * What brings a backend from `applied` to `wanted`, '' where nothing does; `applied` null: nothing
   * is known of it.
   */
  sqlFor(
    applied: Values | null,
    wanted: Values,
    { madeNames }: Pick<BackendConnection, 'madeNames'>,
  ): string {
    const statements = [settingsSql(applied, wanted)].filter((sql) => sql !== '');
    for (const name of this.made) {
      if (!wanted.has(name) && !madeNames.has(name)) statements.push(resetSql(name));
    }
    return statements.join(';');
  }

  private replace(values: Values): void {
    this.values = values;
    const names = [...this.made, ...[...values.keys()].filter(isMadeUp)];
    this.names = names.length === 0 ? NO_NAMES : new Set(names);
    this.cachedKey = this.keyOf(values);
  }
}

/** Not one of the server's own, though perhaps one of an extension; a server never forgets them. */
function isMadeUp(name: string): boolean {
  return name.includes('.') && !isOwnSetting(name);
}

/**
 * The statements that bring a backend from `applied` to `wanted`; `applied` null: nothing is known of it. SET is not
 * used: `set_config` takes every value as one string, lists included.
 */
export function settingsSql(applied: Values | null, wanted: Values): string {
  const statements: string[] = [];
  const resets: string[] = [];
  if (applied === null) {
    statements.push('RESET ROLE', 'RESET ALL');
  } else {
    for (const name of applied.keys()) if (!wanted.has(name)) resets.push(resetSql(name));
  }
  statements.push(...resets);
  const changes: string[] = [];
  for (const [name, value] of wanted) {
    if (applied?.get(name) !== value) {
      changes.push(`pg_catalog.set_config(${quoteLiteral(name)},${quoteLiteral(value)},false)`);
    }
  }
  if (changes.length > 0) statements.push(`SELECT ${changes.join(',')}`);
  return statements.join(';');
}

/**
 * A change of a setting as statements without rows for a backend that joins the transaction later. `base`: what a
 * RESET goes back to, where the startup message said it.
 */
export function settingStatements(
  { name, value, local }: SettingEffect,
  base: Values,
): readonly string[] {
  const all = name === '*';
  const wanted = all ? base : new Map([[name, value ?? base.get(name) ?? null]]);
  const calls = [...wanted].map(([setting, text]) => {
    const literal = text === null ? 'NULL' : quoteLiteral(text);
    return `pg_catalog.set_config(${quoteLiteral(setting)},${literal},${local})`;
  });
  // Called, but for no row.
  const sets = `SELECT WHERE pg_catalog.concat(${calls.join(',')}) IS NULL`;
  return [...(all ? ['RESET ALL'] : []), ...(calls.length > 0 ? [sets] : [])];
}

function resetSql(name: string): string {
  return `RESET ${name
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.')}`;
}

const EMPTY: Values = new Map();
const NO_NAMES: ReadonlySet<string> = new Set();

/** Ours, which the shards keep for us: how this session commits over several shards. */
export const CROSS_SHARD: OwnSetting = 'shardgate.cross_shard';

/** Settings under which the proxy would read statements or keys otherwise than the shards; null: fine. */
export function refusedSetting(
  name: string,
  value: string | null,
  severity: 'ERROR' | 'FATAL' = 'ERROR',
): SqlError | null {
  if (value === null) return null;
  if (name === 'standard_conforming_strings' && !/^(on|true|yes|1)$/i.test(value)) {
    return sqlError('feature_not_supported', 'standard_conforming_strings must be on', {
      hint: "Write escapes as E'...'.",
      severity,
    });
  }
  if (name === 'client_encoding' && !isReadEncoding(value)) {
    const message = `client_encoding ${value} is not supported`;
    return sqlError('feature_not_supported', message, { hint: 'Use UTF8.', severity });
  }
  const choices: readonly string[] | null = isOwnSetting(name) ? ownSettings[name] : null;
  if (choices !== null && !choices.includes(value)) {
    const message = `invalid value for parameter "${name}": "${value}"`;
    const hint = `Available values: ${choices.join(', ')}.`;
    return sqlError('invalid_parameter_value', message, { hint, severity });
  }
  // As of prefixes that an extension has reserved.
  if (name.startsWith('shardgate.') && !isOwnSetting(name)) {
    return sqlError('invalid_name', `invalid configuration parameter name "${name}"`, {
      detail: '"shardgate" is a reserved prefix.',
      hint: `There are ${Object.keys(ownSettings).join(', ')}.`,
      severity,
    });
  }
  if (name === 'seed') {
    return sqlError('feature_not_supported', 'setting "seed" is not supported', {
      hint: 'Generate repeatable random numbers in the client.',
      severity,
    });
  }
  if (name === 'session_authorization') {
    return sqlError('feature_not_supported', 'SET SESSION AUTHORIZATION is not supported', {
      hint: 'Use SET ROLE.',
      severity,
    });
  }
  return null;
}

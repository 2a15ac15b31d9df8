import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { SettingEffect } from '../planner/plan.js';
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

  apply(effect: SettingEffect): void {
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

  private replace(values: Values): void {
    this.values = values;
    this.cachedKey = settingsKey(values);
  }
}

export function settingsKey(values: Values): string {
  if (values.size === 0) return '';
  const names = [...values.keys()].sort();
  return names.map((name) => `${name}\0${values.get(name)!}`).join('\0\0');
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
 * A change of a setting as a statement for a backend that joins the transaction later. `base`: what a RESET goes back
 * to, where the startup message said it.
 */
export function settingSql({ name, value, local }: SettingEffect, base: Values): string {
  if (name === '*') {
    const again = settingsSql(EMPTY, base);
    return again === '' ? 'RESET ALL' : `RESET ALL;${again}`;
  }
  const wanted = value ?? base.get(name);
  const text = wanted === undefined ? 'NULL' : quoteLiteral(wanted);
  return `SELECT pg_catalog.set_config(${quoteLiteral(name)},${text},${local})`;
}

function resetSql(name: string): string {
  return `RESET ${name
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.')}`;
}

const EMPTY: Values = new Map();

/** Ours, which the shards keep for us: how this session commits over several shards. */
export const CROSS_SHARD = 'shardgate.cross_shard';
const CROSS_SHARD_VALUES = ['two_phase', 'best_effort', 'refuse'];

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
  if (name === 'client_encoding' && !/^'?(sql_ascii|utf-?8|unicode)'?$/i.test(value)) {
    const message = `client_encoding ${value} is not supported`;
    return sqlError('feature_not_supported', message, { hint: 'Use UTF8.', severity });
  }
  if (name === CROSS_SHARD && !CROSS_SHARD_VALUES.includes(value)) {
    const message = `invalid value for parameter "${name}": "${value}"`;
    const hint = `Available values: ${CROSS_SHARD_VALUES.join(', ')}.`;
    return sqlError('invalid_parameter_value', message, { hint, severity });
  }
  if (name === 'session_authorization') {
    return sqlError('feature_not_supported', 'SET SESSION AUTHORIZATION is not supported', {
      hint: 'Use SET ROLE.',
      severity,
    });
  }
  return null;
}

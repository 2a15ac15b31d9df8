import { needsRestart } from '../config/fixed-settings.js';
import { configSpec } from '../config/schema.js';

/** One setting of the configuration file. */
export interface SettingRow {
  /** As `limits.max_clients`. */
  readonly key: string;
  /** As the file has it, or the default; null: neither is there. */
  readonly value: string | null;
  readonly default: string | null;
  /** A reload applies it. */
  readonly changeable: boolean;
}

interface SettingSchema {
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: unknown;
  readonly default?: unknown;
}

/** What has an entry for each of many, users and keyspaces, has lists of its own; secrets may be in it. */
const ELSEWHERE: ReadonlySet<string> = new Set(['keyspaces', 'auth.users', 'auth.rules']);

/** Every setting of its own, in the order of the schema. `values`: what the file says. */
export function settingsOf(values: unknown): SettingRow[] {
  const rows: SettingRow[] = [];
  collect([], configSpec.jsonSchema, values, rows);
  return rows;
}

function collect(
  path: readonly string[],
  schema: SettingSchema,
  value: unknown,
  rows: SettingRow[],
): void {
  const key = path.join('.');
  if (ELSEWHERE.has(key)) return;
  if (schema.properties === undefined) {
    const preset = textOf(schema.default);
    rows.push({
      key,
      value: textOf(value) ?? preset,
      default: preset,
      changeable: !needsRestart(key),
    });
    return;
  }
  const inner = typeof value === 'object' && value !== null ? value : {};
  for (const [name, property] of Object.entries(schema.properties)) {
    collect([...path, name], property, (inner as Record<string, unknown>)[name], rows);
  }
}

function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

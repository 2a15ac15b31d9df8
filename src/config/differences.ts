import type { ConfigSource } from './source.js';

/** Enough for a log line; of more only the number is told. */
const SHOWN_MAX = 50;
/** Longer values are not shown. */
const VALUE_CHARACTERS_MAX = 200;
/** Below these keys values may be secrets, or URLs that hold some. */
const SECRET_KEYS: ReadonlySet<string> = new Set(['password', 'primary', 'replicas', 'settings']);

type Values = Readonly<Record<string, unknown>>;

/** What a new configuration changes, one `limits.max_clients: 100 -> 200` each. Shows no secret. */
export function differences(before: ConfigSource, after: ConfigSource): readonly string[] {
  const found: string[] = [];
  compare([], before.values, after.values, found);
  for (const [path, digest] of after.files) {
    const old = before.files.get(path);
    // The file itself comes first in both, and is told key by key.
    const itself = path === [...after.files.keys()][0];
    if (!itself && old !== undefined && old !== digest) found.push(`file ${path}: changed`);
  }
  const more = found.length - SHOWN_MAX;
  return more > 0 ? [...found.slice(0, SHOWN_MAX), `and ${more} more`] : found;
}

function compare(path: readonly string[], a: unknown, b: unknown, found: string[]): void {
  const [before, after] = [asRecord(a), asRecord(b)];
  if (before !== null && after !== null) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare([...path, key], before[key], after[key], found);
    }
    return;
  }
  if (JSON.stringify(a) === JSON.stringify(b)) return;
  if (a === undefined) tell(path, 'added', b, found);
  else if (b === undefined) tell(path, 'removed', a, found);
  else {
    const [from, to] = [shown(path, a), shown(path, b)];
    const what = from === null || to === null ? 'changed' : `${from} -> ${to}`;
    found.push(`${path.join('.')}: ${what}`);
  }
}

/** What has come or gone; of sections, and of what cannot be shown as a whole, key by key. */
function tell(
  path: readonly string[],
  word: 'added' | 'removed',
  value: unknown,
  found: string[],
): void {
  const parts = Object.entries(asRecord(value) ?? {});
  const text = path.length === 1 && parts.length > 0 ? null : shown(path, value);
  if (text !== null) found.push(`${path.join('.')}: ${word} ${text}`);
  else if (parts.length === 0) found.push(`${path.join('.')}: ${word}`);
  else for (const [key, part] of parts) tell([...path, key], word, part, found);
}

/** A mapping, or a list of mappings with names; null: neither. */
function asRecord(value: unknown): Values | null {
  if (typeof value !== 'object' || value === null) return null;
  if (!Array.isArray(value)) return value as Values;
  const named = value.map((item: unknown): [string, unknown] => {
    const name = (item as { name?: unknown } | null)?.name;
    return [typeof name === 'string' ? name : '', item];
  });
  const unique = new Set(named.map(([name]) => name));
  return unique.has('') || unique.size < named.length ? null : Object.fromEntries(named);
}

function shown(path: readonly string[], value: unknown): string | null {
  if (path.some((key) => SECRET_KEYS.has(key)) || holdsSecrets(value)) return null;
  const text = JSON.stringify(value) ?? '';
  return text.length > VALUE_CHARACTERS_MAX || text.includes('://') ? null : text;
}

function holdsSecrets(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, part]) => SECRET_KEYS.has(key) || holdsSecrets(part));
}

/** Milliseconds per unit of PostgreSQL's time settings (PostgreSQL 18, 19.1.1). */
const UNITS_MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Longer ones than setTimeout takes are as good as none: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A setting such as `5s` or `5000` in milliseconds, which is the unit of those without one; 0 for none, and for what
 * PostgreSQL would not take.
 */
export function settingDurationMs(value: string | undefined): number {
  const match = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*(us|ms|s|min|h|d)?\s*$/.exec(value ?? '');
  if (match === null) return 0;
  const ms = Math.round(Number(match[1]) * UNITS_MS[match[2] ?? 'ms']!);
  return ms > LONGEST_MS ? 0 : ms;
}

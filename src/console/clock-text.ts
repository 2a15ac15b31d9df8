/** A time as PgBouncer writes it: `2026-03-01 12:00:00 UTC`. */
export function clockText(msSinceEpoch: number): string {
  return `${new Date(msSinceEpoch).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Milliseconds as PgBouncer splits them: whole seconds, and the microseconds behind them. */
export function splitWait(ms: number): { readonly seconds: number; readonly us: number } {
  const us = Math.max(0, Math.round(ms * 1000));
  return { seconds: Math.floor(us / 1e6), us: us % 1e6 };
}

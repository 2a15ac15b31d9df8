import { settingDurationMs } from '../util/setting-duration.js';
import type { BackendConnection } from './postgres/connection.js';

/** Whether an idle backend is to be closed: it is old, or has not been used for long. `now`: since the epoch. */
export function isStale(
  backend: BackendConnection,
  now: number,
  {
    idleTimeoutMs,
    maxLifetimeMs,
  }: { readonly idleTimeoutMs: number; readonly maxLifetimeMs: number },
): boolean {
  const idleMs = now - backend.idleSince;
  return (
    idleMs > Math.min(idleTimeoutMs, ownIdleTimeoutMs(backend)) ||
    now - backend.createdAt > maxLifetimeMs
  );
}

/**
 * A backend whose last session has SET an idle_session_timeout is closed by its server, maybe just when it is lent: it
 * goes well before that.
 */
function ownIdleTimeoutMs(backend: BackendConnection): number {
  const set = settingDurationMs(backend.settings.get('idle_session_timeout'));
  return set === 0 ? Infinity : set / 2;
}

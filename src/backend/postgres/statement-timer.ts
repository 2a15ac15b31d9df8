import { performance } from 'node:perf_hooks';
import type { ShapeUsage } from '../../metrics/shape-usage.js';
import type { BackendConnection } from './connection.js';

/** A backend whose statement is timed. */
type Timed = Pick<BackendConnection, 'owner'> & { startedAt: number; timed: ShapeUsage | null };

/** A statement is sent. Nobody knows when one of several in a pipeline is answered: these are timed together. */
export function startTimer(backend: Timed, usage: ShapeUsage | undefined): void {
  if (backend.startedAt === 0) {
    backend.startedAt = performance.now();
    backend.timed = usage ?? null;
  } else backend.timed = null;
}

/** The statement that was timed is over. */
export function endTimer(backend: Timed): void {
  if (backend.startedAt === 0) return;
  const micros = Math.round((performance.now() - backend.startedAt) * 1000);
  backend.owner.latency.observe(micros);
  backend.startedAt = 0;
  backend.timed?.took(micros);
  backend.timed = null;
}

import { timeError } from '../executor/gather-errors.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Operation } from '../transaction/operation.js';
import type { Session } from './session.js';

/** A step that cannot be broken off leads to one that can. */
const AGAIN_MS = 10;

/**
 * Limits what a session runs from now on, until `onDone` is called, to limits.gather_timeout: what
 * takes longer is ended with 54000.
 */
export function withinGatherTime<T>(
  session: Session,
  onDone: (result: T) => void,
): (result: T) => void {
  const timeMs = session.context.config.limits.gatherTimeoutMs;
  if (timeMs === 0) return onDone;
  let ended: Operation | null = null;
  const end = (): void => {
    // Nobody tells of what a session that is over has left.
    if (session.over) return;
    const { operation } = session;
    if (operation !== ended) operation?.abort?.(errorBytes(timeError(timeMs)));
    ended = operation;
    timer = setTimeout(end, AGAIN_MS).unref();
  };
  let timer = setTimeout(end, timeMs).unref();
  return (result) => {
    clearTimeout(timer);
    onDone(result);
  };
}

import { sqlError } from '../errors/sql-error.js';
import type { ValueSource } from '../executor/shard-targets.js';

/** A parameter's value as it was bound. */
export interface BoundValue {
  readonly bytes: Buffer;
  readonly binary: boolean;
}

/**
 * A parameter that the proxy must read before the statement runs. Null: it is NULL.
 * @param bind the Bind message that the source's layout is of; null: there is none. Throws SqlError 0A000 then
 */
export function boundValue(
  { layout }: ValueSource,
  bind: Buffer | null,
  index: number,
): BoundValue | null {
  if (bind === null) {
    throw sqlError(
      'feature_not_supported',
      'EXECUTE of a statement that gives a process id or the name of a sequence as parameter is not supported',
      { hint: 'Send it as a statement of its own.' },
    );
  }
  const [start, end] = [layout.valueStart[index] ?? -1, layout.valueEnd[index] ?? -1];
  if (start < 0) return null;
  return { bytes: bind.subarray(start, end), binary: layout.isBinary(bind, index) };
}

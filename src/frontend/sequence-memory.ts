import { sqlError } from '../errors/sql-error.js';

/** The values that a session got of sequences last, for currval and lastval. */
export class SequenceMemory {
  private readonly values = new Map<string, string>();
  private last: string | null = null;
  /** Servers have taken values since, which are not known here. */
  private lost = false;

  /** `name`: qualified. */
  note(name: string, value: string): void {
    this.values.set(name, value);
    this.last = value;
  }

  /** Throws SqlError: 55000 where the session has got none yet, 0A000 where it is not known. */
  currval(name: string, bareName: string): string {
    const value = this.values.get(name);
    if (value !== undefined) return value;
    if (this.lost) throw unknownValue('currval');
    const message = `currval of sequence "${bareName}" is not yet defined in this session`;
    throw sqlError('object_not_in_prerequisite_state', message);
  }

  /** Throws as `currval`. */
  lastval(): string {
    if (this.last !== null) return this.last;
    if (this.lost) throw unknownValue('lastval');
    throw sqlError(
      'object_not_in_prerequisite_state',
      'lastval is not yet defined in this session',
    );
  }

  /** A server has taken values by itself, or has set a sequence. */
  lose(): void {
    this.forget();
    this.lost = true;
  }

  /** DISCARD SEQUENCES. */
  forget(): void {
    this.values.clear();
    this.last = null;
    this.lost = false;
  }
}

function unknownValue(name: string): Error {
  return sqlError(
    'feature_not_supported',
    `the value of ${name} is not known: a server has taken a value of a sequence by itself`,
    { hint: 'Use RETURNING, or keep the result of nextval().' },
  );
}

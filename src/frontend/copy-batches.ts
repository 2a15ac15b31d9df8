import type { SqlError } from '../errors/sql-error.js';
import type { Session } from './session.js';

/** What a COPY does with its data once it is whole. */
export interface CopyDataTarget {
  /** Gets the data in order; an error where values cannot be had. */
  take(filled: Buffer | SqlError): void;
  /** All has been taken. */
  end(): void;
  /** The COPY has failed: nothing is taken any more. */
  isOver(): boolean;
}

/**
 * Data of a COPY on which something is done before the target gets it. What one read has brought is one batch, though
 * clients send a message a row; the session may wait in the middle of a batch.
 */
export abstract class CopyBatches {
  protected readonly session: Session;
  protected readonly target: CopyDataTarget;
  private batch: Buffer[] = [];

  constructor(session: Session, target: CopyDataTarget) {
    this.session = session;
    this.target = target;
  }

  /** A piece of the data; the bytes are the caller's again. */
  data(bytes: Buffer, start: number, end: number): void {
    this.batch.push(Buffer.from(bytes.subarray(start, end)));
    if (this.batch.length > 1) return;
    queueMicrotask(() => {
      if (this.batch.length > 0 && !this.isOver) this.workOnBatch(false);
    });
  }

  /** There is no more data. Throws SqlError where it ends in the middle of a character. */
  done(): void {
    this.workOnBatch(true);
  }

  /** Hands a batch on to the target, now or, while the session is busy, later; `goOn` follows then. */
  protected abstract work(data: Buffer, isLast: boolean): void;

  protected get isOver(): boolean {
    return this.session.over || this.target.isOver();
  }

  /** The session, which was busy, takes more data. */
  protected goOn(isLast: boolean): void {
    // The end is waited for, and so is that of a COPY that has failed.
    if (isLast || this.isOver) return;
    this.session.busy = false;
    this.session.pump();
  }

  private workOnBatch(isLast: boolean): void {
    const data = Buffer.concat(this.batch);
    this.batch = [];
    this.work(data, isLast);
  }
}

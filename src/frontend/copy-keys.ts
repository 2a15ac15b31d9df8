import { SqlError } from '../errors/sql-error.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import { RowLines } from '../executor/copy/row-lines.js';
import { withAnswers, type KeyDirectory } from '../keyspace/key-directory.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { askDirectories, keysOf, type FoundKeys } from './asked-directories.js';
import type { CopyDataTarget } from './copy-fill.js';
import type { Session } from './session.js';

/**
 * Data of a COPY whose keys a directory knows. A splitter of its own goes ahead and finds the keys; data with keys
 * that have no shards at hand waits, with the session, until the directory has told them. What one read has brought
 * is one batch.
 */
export class CopyKeys {
  private readonly session: Session;
  private readonly directory: KeyDirectory;
  private readonly target: CopyDataTarget;
  private readonly scout: CopySplitter;
  private batch: Buffer[] = [];

  constructor(
    session: Session,
    plan: CopyFromPlan,
    directory: KeyDirectory,
    csvEndMarker: boolean,
    target: CopyDataTarget,
  ) {
    this.session = session;
    this.directory = directory;
    this.target = target;
    this.scout = new CopySplitter(plan, csvEndMarker, new RowLines());
  }

  /** A piece of the data; the bytes are the caller's again. */
  data(bytes: Buffer, start: number, end: number): void {
    this.batch.push(Buffer.from(bytes.subarray(start, end)));
    if (this.batch.length > 1) return;
    queueMicrotask(() => {
      if (this.batch.length > 0 && !this.isOver) this.work(false);
    });
  }

  /** There is no more data. */
  done(): void {
    this.work(true);
  }

  private get isOver(): boolean {
    return this.session.over || this.target.isOver();
  }

  private work(isLast: boolean): void {
    const data = Buffer.concat(this.batch);
    this.batch = [];
    const { scout, directory, session } = this;
    // Behind an error nothing is taken any more: whoever splits the data meets it at the same place.
    const asked = keysOf(directory, () => {
      scout.push(data, 0, data.length, NOWHERE);
      if (isLast) scout.finish(NOWHERE);
    });
    if (directory.knows(asked.get(directory) ?? [])) {
      this.take(data, new Map(), isLast);
      return;
    }
    session.busy = true;
    void askDirectories(session, asked, true).then((found) => {
      if (this.isOver) return;
      if (found instanceof SqlError) this.target.take(found);
      else this.take(data, found, isLast);
      // The end is waited for, and so is that of a COPY that has failed.
      if (isLast || this.isOver) return;
      session.busy = false;
      session.pump();
    });
  }

  private take(data: Buffer, found: FoundKeys, isLast: boolean): void {
    withAnswers(found, () => {
      this.target.take(data);
      if (isLast) this.target.end();
    });
  }
}

const NOWHERE: CopySink = {
  toShard: () => {
    // Only the keys are looked at.
  },
  toAll: () => {
    // Nor is this data of any row.
  },
};

import { SqlError } from '../errors/sql-error.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import { RowLines } from '../executor/copy/row-lines.js';
import { withAnswers, type KeyDirectory } from '../keyspace/key-directory.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { askDirectories, keysOf, type FoundKeys } from './asked-directories.js';
import { CopyBatches, type CopyDataTarget } from './copy-batches.js';
import type { Session } from './session.js';

/**
 * Data of a COPY whose keys a directory knows. A splitter of its own goes ahead and finds the keys; data with keys
 * that have no shards at hand waits, with the session, until the directory has told them.
 */
export class CopyKeys extends CopyBatches {
  private readonly directory: KeyDirectory;
  private readonly scout: CopySplitter;

  constructor(
    session: Session,
    plan: CopyFromPlan,
    directory: KeyDirectory,
    csvEndMarker: boolean,
    target: CopyDataTarget,
  ) {
    super(session, target);
    this.directory = directory;
    this.scout = new CopySplitter(plan, csvEndMarker, new RowLines());
  }

  protected work(data: Buffer, isLast: boolean): void {
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
      this.goOn(isLast);
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

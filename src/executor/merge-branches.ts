import type { BackendConnection } from '../backend/postgres/connection.js';
import { RepeatedCancel } from './repeated-cancel.js';
import { MergeBranch } from './merge-branch.js';

/** The shards of a merge, taken together. */
export class MergeBranches {
  readonly all: readonly MergeBranch[];
  private readonly cancels: RepeatedCancel;
  /** How many owe a row, as counted last. */
  starving: number;

  constructor(backends: readonly BackendConnection[], visibleColumns: number, keyCount: number) {
    this.all = backends.map(
      (backend, position) => new MergeBranch(backend, position, visibleColumns, keyCount),
    );
    this.starving = this.all.length;
    this.cancels = new RepeatedCancel(backends);
  }

  /** Null: the backend takes no part. */
  find(backend: BackendConnection): MergeBranch | null {
    return this.all.find((branch) => branch.backend === backend) ?? null;
  }

  of(backend: BackendConnection): MergeBranch {
    return this.find(backend)!;
  }

  /** To be called whenever a branch has lost or got its row: not at every row. */
  countStarving(): void {
    let count = 0;
    for (const branch of this.all) if (branch.starved) count++;
    this.starving = count;
  }

  get ended(): boolean {
    return this.all.every((branch) => branch.ended);
  }

  get done(): boolean {
    return this.all.every((branch) => branch.done);
  }

  get succeeded(): BackendConnection[] {
    return this.all.filter((branch) => branch.succeeded).map((branch) => branch.backend);
  }

  resumeReading(): void {
    for (const branch of this.all) if (!branch.done) branch.backend.resumeReading();
  }

  /** Cancels what still runs, until it has ended. */
  cancel(): void {
    this.cancels.start(() => {
      for (const { done, ended, backend } of this.all) if (!done && !ended) backend.cancel();
    });
  }

  /** All have ended: goes on when no cancel is on its way any more. */
  settle(then: () => void): void {
    this.cancels.settle(then);
  }
}

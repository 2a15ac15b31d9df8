import type { BackendConnection } from '../backend/postgres/connection.js';
import { GatherBranch } from './gather-branch.js';
import { RepeatedCancel } from './repeated-cancel.js';

/** All backends of one gather. */
export class GatherBranches {
  /** The home is the first. */
  readonly all: readonly GatherBranch[];
  readonly home: GatherBranch;
  private readonly cancels: RepeatedCancel;

  /** `sources`: the backends of each input. */
  constructor(home: BackendConnection, sources: readonly (readonly BackendConnection[])[]) {
    const backends = [...new Set([home, ...sources.flat()])];
    this.all = backends.map((backend) => new GatherBranch(backend, sources.length));
    this.home = this.all[0]!;
    this.cancels = new RepeatedCancel(backends);
  }

  /** Nothing is awaited of any. */
  get idle(): boolean {
    return this.all.every((branch) => branch.idle);
  }

  find(backend: BackendConnection): GatherBranch | null {
    return this.all.find((branch) => branch.backend === backend) ?? null;
  }

  /** Of a backend that takes part. */
  of(backend: BackendConnection): GatherBranch {
    return this.find(backend)!;
  }

  /** Rows of the input, or of any where none is given, are still to come. */
  awaitInput(input?: number): boolean {
    return this.all.some((branch) => branch.awaitsInput(input));
  }

  /** Whoever but the home has rows may offer them again. */
  resumeShards(but: GatherBranch | null = null): void {
    for (const branch of this.all) {
      if (branch !== this.home && branch !== but && !branch.idle) branch.backend.resumeReading();
    }
  }

  /** Breaks off what runs, everywhere but on the one that has ended by itself. */
  stop(but: GatherBranch | null): void {
    this.cancels.start(() => {
      for (const branch of this.all) if (branch !== but) branch.stop();
    });
  }

  /** Everything has ended: goes on when no cancel is on its way any more. */
  settle(then: () => void): void {
    this.cancels.settle(then);
  }
}

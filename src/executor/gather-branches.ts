import type { BackendSink } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { whenCancelsDelivered } from './delivered-cancels.js';
import { GatherBranch } from './gather-branch.js';

/** How long a backend may go on after it was cancelled, until it is cancelled again. */
const STOP_AGAIN_MS = 200;

/** All backends of one gather. */
export class GatherBranches {
  /** The home is the first. */
  readonly all: readonly GatherBranch[];
  readonly home: GatherBranch;
  private stopTimer: NodeJS.Timeout | undefined;
  /** Whom the backends answer to as long as this goes on. */
  private readonly sink: BackendSink;

  /** `sources`: the backends of each input. */
  constructor(home: BackendConnection, sources: readonly (readonly BackendConnection[])[]) {
    const backends = new Set([home, ...sources.flat()]);
    this.all = [...backends].map((backend) => new GatherBranch(backend, sources.length));
    this.home = this.all[0]!;
    this.sink = home.sink;
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
    for (const branch of this.all) if (branch !== but) branch.stop();
    this.stopAgainLater();
  }

  /** Everything has ended: goes on when no cancel is on its way any more. */
  whenCancelsDelivered(then: () => void): void {
    clearTimeout(this.stopTimer);
    whenCancelsDelivered(this.all, then);
  }

  /** A cancel that overtakes its statement does nothing. */
  private stopAgainLater(): void {
    this.stopTimer = setTimeout(() => {
      // A session that closed has left its backends to their pools.
      const ours = this.all.filter(({ backend }) => backend.sink === this.sink);
      for (const branch of ours) branch.stop();
      if (ours.length > 0) this.stopAgainLater();
    }, STOP_AGAIN_MS);
    this.stopTimer.unref();
  }
}

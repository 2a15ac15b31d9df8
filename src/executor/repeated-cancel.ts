import type { BackendSink } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { whenAllDelivered } from '../backend/postgres/pending-cancels.js';

/** How long a backend may go on after it was cancelled, until it is cancelled again. */
const AGAIN_MS = 200;

/** What is asked of a backend whose statement is cancelled. */
type Cancellable = Pick<BackendConnection, 'alive' | 'cancels' | 'sink'>;

/**
 * Cancels what several backends run for one operation until all of them have ended: a cancel that overtakes its
 * statement, or comes between two, does nothing. Nothing is on its way any more when `settle` goes on, so that no
 * later statement is hit.
 */
export class RepeatedCancel {
  private readonly backends: readonly Cancellable[];
  /** Whom they answer to as long as the operation goes on: a session that closes leaves them to their pools. */
  private readonly sink: BackendSink;
  private timer: NodeJS.Timeout | null = null;

  constructor(backends: readonly Cancellable[]) {
    this.backends = backends;
    this.sink = backends[0]!.sink;
  }

  /** @param stop cancels those that still run */
  start(stop: () => void): void {
    if (!this.isCurrent) return;
    stop();
    if (this.timer !== null) return;
    this.timer = setInterval(() => {
      if (this.isCurrent) stop();
      else this.end();
    }, AGAIN_MS);
    this.timer.unref();
  }

  /** False: the session has closed, and its backends may serve others already. */
  private get isCurrent(): boolean {
    // One that broke off answers to nobody any more, whatever it says.
    return this.backends.some(({ alive, sink }) => alive && sink === this.sink);
  }

  /**
   * All have ended: goes on when no cancel is on its way any more, whoever sent it. Not if the session has closed
   * meanwhile: what it would send next came in front of another client's messages.
   */
  settle(then: () => void): void {
    this.end();
    whenAllDelivered(this.backends, () => {
      if (!this.isForsaken) then();
    });
  }

  /** Some have gone back to their pools. */
  private get isForsaken(): boolean {
    return this.backends.some(({ alive, sink }) => alive && sink !== this.sink);
  }

  private end(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }
}

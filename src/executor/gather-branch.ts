import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { GatherRows } from './gather-rows.js';

/** An Execute whose answer is awaited. */
export type GatherStep =
  | { readonly kind: 'input'; readonly input: number }
  | { readonly kind: 'table'; readonly input: number }
  | { readonly kind: 'copy'; readonly input: number }
  | { readonly kind: 'settings' }
  | { readonly kind: 'final' }
  /** Something about tables behind that, nobody waits for. */
  | { readonly kind: 'cleanUp' };

/** One backend's part in a gather. */
export class GatherBranch {
  readonly backend: BackendConnection;
  /** In the order of their answers. */
  readonly steps: GatherStep[] = [];
  /** Kept rows, by input. */
  readonly rows: readonly GatherRows[];
  /** It was sent something without a Sync behind it. */
  open = false;
  /** Its ReadyForQuery is awaited. */
  syncing = false;

  constructor(backend: BackendConnection, inputs: number) {
    this.backend = backend;
    this.rows = Array.from({ length: inputs }, () => new GatherRows());
  }

  /** Nothing is awaited. */
  get idle(): boolean {
    return this.steps.length === 0 && !this.syncing;
  }

  /** Rows of the input, or of any where none is given, are still to come. */
  awaitsInput(input?: number): boolean {
    return this.steps.some(
      (step) => step.kind === 'input' && (input === undefined || step.input === input),
    );
  }

  sync(): void {
    this.backend.sync(CAPTURE);
    this.syncing = true;
    this.open = false;
  }

  /** What runs is broken off; the answers that are awaited still come. */
  stop(): void {
    const { backend } = this;
    if (this.steps.length === 0) return;
    if (backend.copyingIn) {
      backend.failCopy('the statement failed elsewhere');
      backend.requestFlush();
      backend.flush();
      return;
    }
    backend.cancel();
  }
}

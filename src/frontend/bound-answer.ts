import { Expect } from '../backend/postgres/expected-replies.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { ready } from '../protocol/backend-messages.js';
import { withPortalName } from '../protocol/portal-context.js';
import type { OperationHost } from '../transaction/operation.js';
import type { Session } from './session.js';

type Ended = { readonly ok: true } | { readonly ok: false; readonly error: Buffer };

/**
 * The client of a statement over several shards that has not been told BindComplete: the shards judge its values, so it
 * is told with the first thing that comes of them, but for an error of their own Bind.
 */
export class BoundAnswer implements OperationHost {
  private readonly session: Session;
  private readonly portal: string;
  private due = true;

  constructor(session: Session, portal: string) {
    this.session = session;
    this.portal = portal;
  }

  /** The statement runs on these backends from now on. */
  begin(backends: readonly BackendConnection[]): void {
    for (const backend of backends) backend.failedWhile = 0;
  }

  /** It has ended, or its portal is open. Answers what is told of it. */
  end<T extends Ended>(ended: T, backends: readonly BackendConnection[]): T {
    const failed = !ended.ok && backends.some(({ failedWhile: kind }) => kind === Expect.bind);
    if (!failed) this.tell();
    return failed ? { ...ended, error: withPortalName(ended.error, this.portal) } : ended;
  }

  passToClient(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    this.tell();
    return this.session.passToClient(backend, buffer, start, end);
  }

  clientStreamBroken(): void {
    this.session.clientStreamBroken();
  }

  private tell(): void {
    if (this.due) this.session.local.bytes(ready.bindComplete);
    this.due = false;
  }
}

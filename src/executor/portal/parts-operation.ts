import { BackendError } from '../../backend/backend-error.js';
import type { BackendConnection } from '../../backend/postgres/connection.js';
import { errorBytes } from '../../protocol/error-bytes.js';
import type { Operation } from '../../transaction/operation.js';
import { RepeatedCancel } from '../repeated-cancel.js';
import type { PortalPart } from './portal-part.js';

/**
 * One request about a portal of several shards, in as many steps as it takes: `ask` sends a part something, `answered`
 * says that it has come. After an error nothing more is asked, what runs is cancelled, and `onEnd` is told when all
 * have answered.
 */
export abstract class PartsOperation implements Operation {
  protected readonly parts: readonly PortalPart[];
  protected error: Buffer | null = null;
  private readonly owing = new Set<PortalPart>();
  private readonly cancels: RepeatedCancel;
  private ended = false;

  constructor(parts: readonly PortalPart[]) {
    this.parts = parts;
    this.cancels = new RepeatedCancel(parts.map(({ backend }) => backend));
  }

  /** Sends the first requests; this must be the session's operation already. */
  start(): void {
    this.proceed();
    this.endIfOver();
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const part = this.partOf(backend);
    // Of a portal that was not closed in time.
    if (part === null || !this.owing.has(part)) return;
    this.onMessage(part, type, buffer, start, end);
    this.endIfOver();
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    const part = this.partOf(backend);
    return part === null || this.onRows(part, buffer, start, end);
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.fail(Buffer.from(buffer.subarray(start, end)), this.partOf(backend));
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const part = this.partOf(backend);
    if (part !== null) this.fail(errorBytes(error.toSqlError()), part);
  }

  ready(): void {
    // Of a BEGIN that went ahead.
  }

  settled(): void {
    // Each request has an answer.
  }

  cancel(): void {
    this.cancels.start(() => {
      for (const { backend } of this.owing) backend.cancel();
    });
  }

  /** What is still due is asked for now; nothing: it is over. */
  protected abstract proceed(): void;
  /** A message of a part that owes an answer. */
  protected abstract onMessage(
    part: PortalPart,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** False: not now. */
  protected abstract onRows(part: PortalPart, buffer: Buffer, start: number, end: number): boolean;
  /** All have answered; an error is the first. */
  protected abstract onEnd(error: Buffer | null): void;

  /** Sends what `write` writes, with Flush; a backend that was lost before this began fails it. */
  protected ask(part: PortalPart, write: (part: PortalPart) => void): void {
    const { backend } = part;
    if (this.error !== null) return;
    if (!backend.alive) {
      this.fail(errorBytes(BackendError.lost(backend.shard.name).toSqlError()), part);
      return;
    }
    this.owing.add(part);
    write(part);
    backend.requestFlush();
    backend.flush();
  }

  protected answered(part: PortalPart): void {
    this.owing.delete(part);
    if (this.error === null) this.proceed();
  }

  protected owes(part: PortalPart): boolean {
    return this.owing.has(part);
  }

  /** `part`: it owes nothing any more. */
  protected fail(error: Buffer, part: PortalPart | null): void {
    if (part !== null) this.owing.delete(part);
    if (this.error === null) {
      this.error = error;
      if (this.owing.size > 0) this.cancel();
      // Whoever waited for its turn is drained now.
      for (const { backend } of this.owing) backend.resumeReading();
    }
    this.endIfOver();
  }

  protected endIfOver(): void {
    if (this.ended || this.owing.size > 0 || this.waits) return;
    this.ended = true;
    this.cancels.settle(() => {
      this.onEnd(this.error);
    });
  }

  /** There is more to do once the client has taken what it got. */
  protected get waits(): boolean {
    return false;
  }

  private partOf(backend: BackendConnection): PortalPart | null {
    return this.parts.find((part) => part.backend === backend) ?? null;
  }
}

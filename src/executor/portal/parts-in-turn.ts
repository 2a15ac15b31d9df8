import type { BackendError } from '../../backend/backend-error.js';
import type { BackendConnection } from '../../backend/postgres/connection.js';
import { readTag } from '../../protocol/backend-messages.js';
import { Backend } from '../../protocol/codes.js';
import { PartsOperation } from './parts-operation.js';
import type { PortalPart } from './portal-part.js';
import type { RowsRequest } from './rows-request.js';

/**
 * Takes rows of the parts one after the other. The one in turn is asked for as many as are still wanted, so that
 * nothing is read ahead: rows pass as they come, and a client that is slow stops the one shard that sends.
 */
export class PartsInTurn extends PartsOperation {
  private readonly request: RowsRequest;
  private readonly formats: Buffer | null;
  private rows = 0;
  /** What the part in turn was asked for; Infinity: all. */
  private asked = 0;

  /** @param formats for `PortalPart.fetch`; null: rows come as they were bound */
  constructor(parts: readonly PortalPart[], request: RowsRequest, formats: Buffer | null) {
    super(parts);
    this.request = request;
    this.formats = formats;
  }

  override lost(backend: BackendConnection, error: BackendError): void {
    const cutOff = this.parts.some(
      (part) => part.backend === backend && this.owes(part) && backend.dataBytesRemaining > 0,
    );
    if (cutOff) this.request.host?.clientStreamBroken();
    super.lost(backend, error);
  }

  protected proceed(): void {
    const { formats } = this;
    const { rowsMax } = this.request;
    const part = this.parts.find(({ ended }) => !ended);
    if (part === undefined || this.rows === rowsMax) return;
    this.asked = rowsMax - this.rows;
    const count = Number.isFinite(this.asked) ? this.asked : 0;
    this.ask(part, () => {
      if (formats === null) part.execute(count);
      else part.fetch(count, formats);
    });
  }

  protected onMessage(
    part: PortalPart,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.noticeResponse) this.onRows(part, buffer, start, end);
    else if (type === Backend.portalSuspended) this.onPiece(part, this.asked, false);
    else if (type === Backend.commandComplete) {
      const rows = rowsOf(readTag(buffer, start, end));
      this.onPiece(part, rows, rows < this.asked);
    }
  }

  protected onRows({ backend }: PortalPart, buffer: Buffer, start: number, end: number): boolean {
    const { host } = this.request;
    if (host !== null && !host.passToClient(backend, buffer, start, end)) backend.pauseReading();
    return true;
  }

  protected onEnd(error: Buffer | null): void {
    this.request.onDone(error, this.rows);
  }

  private onPiece(part: PortalPart, rows: number, ended: boolean): void {
    part.ended = ended;
    this.rows += rows;
    this.answered(part);
  }
}

/** Of `SELECT 3` and `FETCH 3`. */
export function rowsOf(tag: string): number {
  return Number(tag.slice(tag.lastIndexOf(' ') + 1));
}

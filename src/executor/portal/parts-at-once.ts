import { readTag } from '../../protocol/backend-messages.js';
import { Backend } from '../../protocol/codes.js';
import { PartsOperation } from './parts-operation.js';
import { rowsOf } from './parts-in-turn.js';
import type { PortalPart } from './portal-part.js';
import type { RowsRequest } from './rows-request.js';

/**
 * Takes up to so many rows of each part, of all parts at the same time. Pieces of several shards come in any order, so
 * the host must tell them apart by their backends, and take all of them at once.
 */
export class PartsAtOnce extends PartsOperation {
  private readonly request: RowsRequest;
  private begun = false;
  private rows = 0;

  constructor(parts: readonly PortalPart[], request: RowsRequest) {
    super(parts);
    this.request = request;
  }

  protected proceed(): void {
    if (this.begun) return;
    this.begun = true;
    const { rowsMax } = this.request;
    for (const part of this.parts) {
      if (!part.ended) this.ask(part, () => part.execute(rowsMax));
    }
  }

  protected onMessage(
    part: PortalPart,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.noticeResponse) this.onRows(part, buffer, start, end);
    else if (type === Backend.portalSuspended) this.onPiece(part, this.request.rowsMax);
    else if (type === Backend.commandComplete) {
      part.ended = true;
      this.onPiece(part, rowsOf(readTag(buffer, start, end)));
    }
  }

  protected onRows({ backend }: PortalPart, buffer: Buffer, start: number, end: number): boolean {
    this.request.host?.passToClient(backend, buffer, start, end);
    return true;
  }

  protected onEnd(error: Buffer | null): void {
    this.request.onDone(error, this.rows);
  }

  private onPiece(part: PortalPart, rows: number): void {
    this.rows += rows;
    this.answered(part);
  }
}

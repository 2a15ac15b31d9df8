import { Backend } from '../../protocol/codes.js';
import { PartsOperation } from './parts-operation.js';
import type { PortalPart } from './portal-part.js';

/**
 * Binds the parts of a portal, so that each shard has its snapshot, and asks the first for the columns.
 * `onDone` gets the ErrorResponse, or the RowDescription as that shard sent it.
 */
export class OpenParts extends PartsOperation {
  private readonly bind: (part: PortalPart) => void;
  private readonly onDone: (error: Buffer | null, description: Buffer | null) => void;
  private begun = false;
  private description: Buffer | null = null;

  constructor(
    parts: readonly PortalPart[],
    bind: (part: PortalPart) => void,
    onDone: (error: Buffer | null, description: Buffer | null) => void,
  ) {
    super(parts);
    this.bind = bind;
    this.onDone = onDone;
  }

  protected proceed(): void {
    if (this.begun) return;
    this.begun = true;
    for (const part of this.parts) {
      this.ask(part, () => {
        this.bind(part);
        if (part.position === 0) part.describe();
      });
    }
  }

  protected onMessage(
    part: PortalPart,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.rowDescription) {
      this.description = Buffer.from(buffer.subarray(start, end));
      this.answered(part);
    } else if (type === Backend.bindComplete && part.position > 0) this.answered(part);
  }

  protected onRows(): boolean {
    return true;
  }

  protected onEnd(error: Buffer | null): void {
    this.onDone(error, this.description);
  }
}

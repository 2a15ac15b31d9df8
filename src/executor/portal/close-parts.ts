import { Backend } from '../../protocol/codes.js';
import { PartsOperation } from './parts-operation.js';
import type { PortalPart } from './portal-part.js';

/** Closes the parts of a portal. What goes wrong ends the transaction, and the parts with it. */
export class CloseParts extends PartsOperation {
  private readonly onDone: () => void;
  private begun = false;

  constructor(parts: readonly PortalPart[], onDone: () => void) {
    super(parts);
    this.onDone = onDone;
  }

  protected proceed(): void {
    if (this.begun) return;
    this.begun = true;
    for (const part of this.parts) this.ask(part, () => part.close());
  }

  protected onMessage(part: PortalPart, type: number): void {
    if (type === Backend.closeComplete) this.answered(part);
  }

  protected onRows(): boolean {
    return true;
  }

  protected onEnd(): void {
    this.onDone();
  }
}

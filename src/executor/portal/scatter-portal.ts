import type { PartsOperation } from './parts-operation.js';
import type { PortalMerge } from './portal-merge.js';
import type { PortalPart } from './portal-part.js';
import { MergedParts } from './merged-parts.js';
import { PartsInTurn } from './parts-in-turn.js';
import type { RowsRequest } from './rows-request.js';

/**
 * A portal over several shards, open until its transaction ends: a portal on each of their backends, and what was read
 * ahead of them.
 */
export class ScatterPortal {
  readonly parts: readonly PortalPart[];
  /** Null: the parts' rows come one after the other. */
  readonly merge: PortalMerge | null;
  /** RowDescription of the client's columns, in text format. */
  readonly description: Buffer;
  /** An error has come while it ran: Postgres would not run it again. */
  failed = false;
  closed = false;

  constructor(parts: readonly PortalPart[], merge: PortalMerge | null, description: Buffer) {
    this.parts = parts;
    this.merge = merge;
    this.description = description;
  }

  /** @param memoryBytesMax for what is read ahead */
  rows(request: RowsRequest, memoryBytesMax: number): PartsOperation {
    const { parts, merge } = this;
    const noting: RowsRequest = {
      ...request,
      onDone: (error, rows) => {
        this.failed ||= error !== null;
        request.onDone(error, rows);
      },
    };
    if (merge === null) return new PartsInTurn(parts, noting);
    return new MergedParts(parts, merge, noting, memoryBytesMax);
  }
}

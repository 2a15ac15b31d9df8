import { readTag } from '../../protocol/backend-messages.js';
import { Backend } from '../../protocol/codes.js';
import { errorBytes } from '../../protocol/error-bytes.js';
import { memoryError } from '../gather-errors.js';
import { changedShapeError } from '../merge-description.js';
import { MergeOutput } from '../merge-output.js';
import { rowsOf } from './parts-in-turn.js';
import { PartsOperation } from './parts-operation.js';
import type { MergeSource, PortalMerge } from './portal-merge.js';
import type { PortalPart } from './portal-part.js';
import type { RowsRequest } from './rows-request.js';

/**
 * Takes rows of sorted parts in one order. A shard is asked for a slice of its rows when the last one is used up; when
 * there are as many rows as are wanted, every slice that was asked for is there, and its rest stays with the merge.
 */
export class MergedParts extends PartsOperation {
  private readonly merge: PortalMerge;
  private readonly request: RowsRequest;
  private readonly formats: Buffer | null;
  private readonly memoryBytesMax: number;
  private readonly output: MergeOutput | null;
  private rows = 0;
  /** Bytes of the slice that each source sends now. */
  private readonly slices = new Map<PortalPart, number>();

  /** @param formats for `PortalPart.fetch`; null: rows come as they were bound */
  constructor(
    parts: readonly PortalPart[],
    merge: PortalMerge,
    request: RowsRequest,
    formats: Buffer | null,
    memoryBytesMax: number,
  ) {
    super(parts);
    this.formats = formats;
    this.merge = merge;
    this.request = request;
    this.memoryBytesMax = memoryBytesMax;
    const { host } = request;
    const pass = (buffer: Buffer, start: number, end: number): boolean =>
      host!.passToClient(null, buffer, start, end);
    this.output = host === null ? null : new MergeOutput(merge.visibleColumns, pass);
  }

  clientDrained(): void {
    if (this.output?.congested !== true) return;
    this.output.drained();
    this.proceed();
    this.endIfOver();
  }

  protected proceed(): void {
    const { merge, output, request } = this;
    while (output?.congested !== true && this.rows < request.rowsMax) {
      const row = merge.next();
      if (row === null) break;
      this.rows++;
      output?.addRow(row);
    }
    output?.flush();
    if (merge.malformed) this.fail(errorBytes(changedShapeError()), null);
    else if (this.waits)
      for (const source of merge.sources) if (source.starved) this.demand(source);
  }

  protected override get waits(): boolean {
    return this.error === null && this.rows < this.request.rowsMax && !this.merge.over;
  }

  protected onMessage(
    part: PortalPart,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.noticeResponse) this.output?.addMessage(buffer, start, end);
    if (type !== Backend.portalSuspended && type !== Backend.commandComplete) return;
    const source = this.sourceOf(part);
    const rows =
      type === Backend.commandComplete ? rowsOf(readTag(buffer, start, end)) : source.sliceRows;
    part.ended = rows < source.sliceRows;
    source.adapt(source.sliceRows, this.slices.get(part) ?? 0);
    this.answered(part);
  }

  protected onRows(part: PortalPart, buffer: Buffer, start: number, end: number): boolean {
    if (this.error !== null) return true;
    this.merge.push(this.sourceOf(part), Buffer.from(buffer.subarray(start, end)));
    this.slices.set(part, this.slices.get(part)! + end - start);
    if (this.merge.bytes > this.memoryBytesMax) {
      this.fail(errorBytes(memoryError(this.memoryBytesMax)), null);
    }
    return true;
  }

  protected onEnd(error: Buffer | null): void {
    this.output?.end();
    this.request.onDone(error, this.rows);
  }

  private demand(source: MergeSource): void {
    const { part } = source;
    if (this.owes(part)) return;
    this.slices.set(part, 0);
    this.ask(part, () => {
      if (this.formats === null) part.execute(source.sliceRows);
      else part.fetch(source.sliceRows, this.formats);
    });
  }

  private sourceOf(part: PortalPart): MergeSource {
    return this.merge.sources[part.position]!;
  }
}

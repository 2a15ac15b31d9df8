import { sqlError } from '../../errors/sql-error.js';
import { reformatRowDescription } from '../merge-description.js';
import { readUint16 } from '../../protocol/framing.js';
import { Writer } from '../../protocol/writer.js';
import type { PartsOperation } from './parts-operation.js';
import type { PortalMerge } from './portal-merge.js';
import type { PortalPart } from './portal-part.js';
import { PartsAtOnce } from './parts-at-once.js';
import { MergedParts } from './merged-parts.js';
import { PartsInTurn } from './parts-in-turn.js';
import type { RowsRequest } from './rows-request.js';

export interface ScatterPortalOptions {
  readonly parts: readonly PortalPart[];
  /** Null: the parts' rows come one after the other. */
  readonly merge: PortalMerge | null;
  /** RowDescription of the client's columns, in text format. */
  readonly description: Buffer;
  /** The formats of these columns that the parts were bound with. */
  readonly formats: readonly number[];
}

/**
 * A portal over several shards, open until its transaction ends: a portal on each of their backends, and what was read
 * ahead of them.
 */
export class ScatterPortal {
  readonly parts: readonly PortalPart[];
  /** Declared BINARY: what a simple query fetches is in binary format. */
  binary = false;
  /** An error has come while it ran: Postgres would not run it again. */
  failed = false;
  closed = false;
  /** How many rows have been handed out or passed over. */
  position = 0;
  /** It has been seen that there are no more. */
  atEnd = false;
  private readonly merge: PortalMerge | null;
  private readonly description: Buffer;
  private readonly bound: readonly number[];
  /** Those of the rows that are taken now. */
  private formats: readonly number[];

  constructor({ parts, merge, description, formats }: ScatterPortalOptions) {
    this.parts = parts;
    this.merge = merge;
    this.description = description;
    this.bound = formats;
    this.formats = formats;
  }

  get columns(): number {
    return readUint16(this.description, 5);
  }

  /** RowDescription; without formats those that it was bound with. */
  describe(formats: readonly number[] = this.bound): Buffer {
    return reformatRowDescription(this.description, formats);
  }

  /** It stands on a row that was handed out. */
  get onRow(): boolean {
    return this.position > 0 && !this.atEnd;
  }

  /**
   * Result formats, one for each column, of the rows that are taken next. Throws SqlError 0A000 where rows in other
   * ones have been read ahead.
   */
  use(formats: readonly number[]): void {
    if (this.merge !== null && this.position > 0 && !same(formats, this.formats)) {
      throw sqlError(
        'feature_not_supported',
        'a cursor over several shards that sorts its rows cannot change their formats',
        { hint: 'Fetch all rows as text, or all in binary.' },
      );
    }
    this.formats = formats;
  }

  /** Rows are taken in the formats that the portal was bound with. Throws as `use`. */
  useBound(): void {
    this.use(this.bound);
  }

  /** @param memoryBytesMax for what is read ahead */
  rows(request: RowsRequest, memoryBytesMax: number): PartsOperation {
    const { parts, merge } = this;
    const noting: RowsRequest = {
      ...request,
      onDone: (error, rows) => {
        this.failed ||= error !== null;
        this.position += rows;
        if (rows < request.rowsMax) this.atEnd = true;
        request.onDone(error, rows);
      },
    };
    const formats = this.otherFormats();
    if (merge === null) return new PartsInTurn(parts, noting, formats);
    return new MergedParts(parts, merge, noting, formats, memoryBytesMax);
  }

  /**
   * The next rows in the formats that it was bound with: so many in all where it has an order, else of each part at the
   * same time. `onDone` is told how many there were; `exhausted` says whether these were the last.
   */
  batch(request: RowsRequest, memoryBytesMax: number): PartsOperation {
    if (this.merge !== null) return this.rows(request, memoryBytesMax);
    return new PartsAtOnce(this.parts, request);
  }

  /** All that `batch` had to give has been given. */
  get exhausted(): boolean {
    // A merge may have rows that its parts gave before they ended.
    return this.merge === null ? this.parts.every(({ ended }) => ended) : this.atEnd;
  }

  /** A Bind message's end where rows are wanted in other formats than the parts were bound with; null: they are not. */
  private otherFormats(): Buffer | null {
    const { formats, merge } = this;
    if (same(formats, this.bound)) return null;
    const keys = merge === null ? 0 : merge.keyCount;
    const rest = new Writer(16 + 2 * (formats.length + keys)).int16(0).int16(0);
    rest.int16(formats.length + keys);
    for (const format of formats) rest.int16(format);
    for (let i = 0; i < keys; i++) rest.int16(1);
    return rest.take();
  }
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.every((format, i) => format === b[i]);
}

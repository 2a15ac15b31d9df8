import { sqlError } from '../../errors/sql-error.js';
import type { Shard } from '../../keyspace/topology.js';
import { assert } from '../../util/assert.js';
import type { CopySink } from './copy-sink.js';
import type { RowLines } from './row-lines.js';

/** Where a row goes: to a shard, or to every shard. */
type Target = Shard | 'all';

/** What ends: a row, the line of column names, or what binary data begins and ends with. */
export type RowKind = 'row' | 'header' | 'frame';

/**
 * The most that is kept of a row whose shard is not known yet: room for any sane column in front of the key, and a
 * bound on what one session can hold. What comes behind the key passes without being kept.
 */
const HELD_BYTES_MAX = 64 * 1024 * 1024;
/** A hold that grew beyond this for one row is given back. */
const HELD_BYTES_USUAL = 64 * 1024;

/**
 * Hands the rows of a stream to their shards. A row reader says in order where keys and rows end; neighbouring rows of
 * one shard leave as one run.
 *
 *   chunk:  | rest of a row | row | row | row | beginning of a ro...
 *           ^ run of s1           ^ run of s2 ^ rowStart: held, where its shard is not known
 */
export class RowRouter {
  /** Rows that ended so far, header lines not counted. */
  rows = 0;
  /** The data has come to its end marker; whatever follows is ignored. */
  ended = false;
  /** The current row up to where `rowBytes` was asked for; it begins at `rowBase`. */
  row: Uint8Array = NOTHING;
  rowBase = 0;

  readonly lines: RowLines;
  private readonly keyColumn: string;
  private sink: CopySink | null = null;
  private bytes: Buffer = NOTHING;
  /** Where the current row goes; null as long as its key has not come. */
  private target: Target | null = null;
  private runTarget: Target | null = null;
  private runStart = 0;
  /** Where the current row's bytes begin that are neither held nor handed out. */
  private rowStart = 0;
  /** Some of the current row came in earlier chunks. */
  private begun = false;
  private held: Buffer = NOTHING;
  private heldLength = 0;

  /** `keyColumn`: the shard key, for messages; `lines`: is told where rows go. */
  constructor(keyColumn: string, lines: RowLines) {
    this.keyColumn = keyColumn;
    this.lines = lines;
  }

  /** A chunk begins; `finishChunk` must follow. */
  beginChunk(bytes: Buffer, start: number, sink: CopySink): void {
    this.bytes = bytes;
    this.sink = sink;
    this.runStart = start;
    this.rowStart = start;
    this.runTarget = null;
  }

  /** Hands out or holds what the chunk has up to `end`. */
  finishChunk(end: number): void {
    if (this.target !== null) this.extendRun(this.target, end);
    this.flushRun();
    if (!this.ended) this.hold(end);
    this.bytes = NOTHING;
    this.sink = null;
  }

  /** The current row's shard is known. */
  get routed(): boolean {
    return this.target !== null;
  }

  /** Whether the current row has bytes from earlier chunks. */
  get rowBegun(): boolean {
    return this.begun;
  }

  /** How many bytes of the current row stand in front of `at`; only while it is not routed. */
  offset(at: number): number {
    return this.heldLength + at - this.rowStart;
  }

  /** Puts the current row up to `at` together, as `row` from `rowBase`; answers where it ends there. */
  rowBytes(at: number): number {
    if (this.heldLength === 0) {
      this.row = this.bytes;
      this.rowBase = this.rowStart;
      return at;
    }
    this.hold(at);
    this.row = this.held;
    this.rowBase = 0;
    return this.heldLength;
  }

  /** Says where the current row goes. */
  route(target: Target): void {
    this.target = target;
    if (this.heldLength === 0) return;
    // A held row is the first of its chunk, so that no run waits in front of it.
    this.emit(target, this.held, 0, this.heldLength);
    this.heldLength = 0;
    if (this.held.length > HELD_BYTES_USUAL) this.held = NOTHING;
  }

  /** The current row ends in front of `at`. */
  endRow(at: number, kind: RowKind): void {
    const { target } = this;
    assert(target !== null, 'a row of COPY data ends before it was routed');
    this.extendRun(target, at);
    this.target = null;
    this.begun = false;
    if (kind === 'header') this.lines.endHeader();
    else if (kind === 'row' && target !== 'all') {
      this.rows++;
      this.lines.endRow(target);
    }
  }

  /** The current row is an end marker: it and all behind it goes nowhere. */
  endData(): void {
    this.ended = true;
    this.heldLength = 0;
  }

  private extendRun(target: Target, at: number): void {
    if (at > this.rowStart) this.begun = true;
    if (target !== this.runTarget) {
      this.flushRun();
      this.runTarget = target;
    }
    this.rowStart = at;
  }

  private flushRun(): void {
    if (this.runTarget !== null) {
      this.emit(this.runTarget, this.bytes, this.runStart, this.rowStart);
    }
    this.runStart = this.rowStart;
  }

  private emit(target: Target, bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    if (target === 'all') this.sink!.toAll(bytes, start, end);
    else this.sink!.toShard(target, bytes, start, end);
  }

  /** Takes the current row's bytes in front of `at` into the hold. */
  private hold(at: number): void {
    const { rowStart, heldLength } = this;
    if (at === rowStart) return;
    const length = heldLength + at - rowStart;
    if (length > HELD_BYTES_MAX) throw this.tooLong();
    if (length > this.held.length) {
      const room = Math.min(HELD_BYTES_MAX, 2 * this.held.length);
      const grown = Buffer.allocUnsafeSlow(Math.max(length, room));
      grown.set(this.held.subarray(0, heldLength));
      this.held = grown;
    }
    this.held.set(this.bytes.subarray(rowStart, at), heldLength);
    this.heldLength = length;
    this.rowStart = at;
    this.runStart = at;
    this.begun = true;
  }

  private tooLong(): Error {
    const message =
      `a row of COPY data has more than ${HELD_BYTES_MAX} bytes ` +
      `up to the end of its shard key "${this.keyColumn}"`;
    return sqlError('program_limit_exceeded', message, {
      hint: 'Name the shard key first in the column list of COPY and in the data.',
    });
  }
}

const NOTHING: Buffer = Buffer.alloc(0);

import { sqlError, type SqlError } from '../../errors/sql-error.js';
import { readInt32 } from '../../protocol/framing.js';
import type { RowReader } from './row-reader.js';
import type { RowRouter } from './row-router.js';
import type { ShardKey } from './shard-key.js';

export const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags, length of the header extension. */
export const HEADER_BYTES = SIGNATURE.length + 8;
/** Bits 16 to 31 are critical: who does not know one must refuse the data. 16 stands for OIDs, which are no more. */
const FLAG_OIDS = 1 << 16;
export const TRAILER = -1;

type State = 'header' | 'extension' | 'count' | 'length' | 'value' | 'trailed';

/** Tuples of COPY's binary format (PostgreSQL 18, COPY, File Formats: Binary Format). */
export class BinaryRows implements RowReader {
  private readonly columnCount: number;
  private readonly key: ShardKey;
  private readonly router: RowRouter;
  private state: State = 'header';
  /** The number that is being read, and how many bytes of it have come. */
  private number = 0;
  private numberBytes = 0;
  /** Bytes of the field's value or of the header extension that are still to come. */
  private remaining = 0;
  private field = 0;
  private keyOffset = 0;

  constructor(columnCount: number, key: ShardKey, router: RowRouter) {
    this.columnCount = columnCount;
    this.key = key;
    this.router = router;
  }

  read(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      switch (this.state) {
        case 'header':
          at = this.readHeader(at, end);
          break;
        case 'extension':
        case 'value': {
          const step = Math.min(this.remaining, end - at);
          at += step;
          this.remaining -= step;
          if (this.remaining === 0) this.endValue(at);
          break;
        }
        case 'count':
        case 'length':
          this.number = (this.number << 8) | bytes[at++]!;
          this.numberBytes++;
          if (this.state === 'count') {
            if (this.numberBytes === 2) this.gotCount((this.number << 16) >> 16, at);
          } else if (this.numberBytes === 4) this.gotLength(this.number, at);
          break;
        case 'trailed':
          throw malformed('received copy data after EOF marker');
      }
    }
  }

  finish(): void {
    switch (this.state) {
      case 'header':
        throw incompleteHeader(this.router.offset(0));
      case 'extension':
        throw malformed('invalid COPY file header (wrong length)');
      case 'length':
      case 'value':
        throw malformed('unexpected EOF in COPY data');
      default:
        // Postgres needs no trailer, and does not mind half a field count.
        this.router.endData();
    }
  }

  private readHeader(at: number, end: number): number {
    const { router } = this;
    const stop = Math.min(end, at + HEADER_BYTES - router.offset(at));
    const rowEnd = router.rowBytes(stop);
    const { row, rowBase } = router;
    const known = Math.min(rowEnd - rowBase, SIGNATURE.length);
    for (let i = 0; i < known; i++) {
      if (row[rowBase + i] !== SIGNATURE[i]) throw badSignature();
    }
    if (rowEnd - rowBase < HEADER_BYTES) return stop;
    const flags = readInt32(row, rowBase + SIGNATURE.length);
    if ((flags & FLAG_OIDS) !== 0) throw malformed('invalid COPY file header (WITH OIDS)');
    if (flags >> 16 !== 0) throw malformed('unrecognized critical flags in COPY file header');
    const extension = readInt32(row, rowBase + SIGNATURE.length + 4);
    if (extension < 0) throw malformed('invalid COPY file header (missing length)');
    router.route('all');
    this.state = 'extension';
    this.remaining = extension;
    if (extension === 0) this.endValue(stop);
    return stop;
  }

  private gotCount(count: number, at: number): void {
    this.numberBytes = 0;
    this.number = 0;
    this.field = 0;
    if (count === TRAILER) {
      this.router.route('all');
      this.router.endRow(at, 'frame');
      this.state = 'trailed';
      return;
    }
    if (count !== this.columnCount) {
      throw malformed(`row field count is ${count}, expected ${this.columnCount}`);
    }
    this.state = 'length';
  }

  private gotLength(length: number, at: number): void {
    this.numberBytes = 0;
    this.number = 0;
    if (length < -1) throw malformed('invalid field size');
    if (this.field === this.key.field) {
      if (length < 0) throw this.key.nullError();
      this.keyOffset = this.router.offset(at);
    }
    this.state = 'value';
    this.remaining = Math.max(0, length);
    if (this.remaining === 0) this.endValue(at);
  }

  /** The value, or the header extension, ends in front of `at`. */
  private endValue(at: number): void {
    const { router, key } = this;
    if (this.state === 'extension') {
      router.endRow(at, 'frame');
      this.state = 'count';
      return;
    }
    if (this.field === key.field) {
      const end = router.rowBytes(at);
      const shard = key.ofBinary(router.row, router.rowBase + this.keyOffset, end);
      if (shard !== null) router.route(shard);
    }
    this.field++;
    this.state = 'length';
    if (this.field < this.columnCount) return;
    router.endRow(at, 'row');
    this.state = 'count';
  }
}

function incompleteHeader(bytes: number): SqlError {
  if (bytes < SIGNATURE.length) return badSignature();
  const missing = bytes < SIGNATURE.length + 4 ? 'flags' : 'length';
  return malformed(`invalid COPY file header (missing ${missing})`);
}

function badSignature(): SqlError {
  return malformed('COPY file signature not recognized');
}

function malformed(message: string): SqlError {
  return sqlError('bad_copy_file_format', message);
}

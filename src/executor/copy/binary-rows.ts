import { sqlError } from '../../errors/sql-error.js';
import { readInt32, readUint16 } from '../../protocol/framing.js';
import type { KeyField, RowKind, RowReader } from './copy-splitter.js';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags, length of the header extension. */
export const HEADER_BYTES = SIGNATURE.length + 8;
const FLAG_OIDS = 1 << 16;
const TRAILER = 0xffff;

/** Tuples of COPY's binary format (PostgreSQL 18, COPY, Binary Format). */
export class BinaryRows implements RowReader {
  private readonly field: number;
  private headerDue = true;
  private trailerSeen = false;

  constructor(field: number) {
    this.field = field;
  }

  rowEnd(bytes: Buffer, start: number, end: number): number {
    if (this.trailerSeen) {
      throw sqlError('bad_copy_file_format', 'received copy data after EOF marker');
    }
    if (this.headerDue) return headerEnd(bytes, start, end);
    if (end - start < 2) return -1;
    const fields = readUint16(bytes, start);
    let at = start + 2;
    if (fields === TRAILER) return at;
    for (let field = 0; field < fields; field++) {
      if (at + 4 > end) return -1;
      const length = readInt32(bytes, at);
      if (length < -1) throw sqlError('bad_copy_file_format', 'invalid field size');
      at += 4 + Math.max(0, length);
    }
    return at > end ? -1 : at;
  }

  readRow(bytes: Buffer, start: number, end: number, key: KeyField): RowKind {
    if (this.headerDue) {
      this.headerDue = false;
      return 'for all';
    }
    if (end - start < 2) return 'incomplete';
    const fields = readUint16(bytes, start);
    if (fields === TRAILER) {
      this.trailerSeen = true;
      return 'for all';
    }
    if (this.field >= fields) return 'incomplete';
    let at = start + 2;
    for (let field = 0; ; field++) {
      if (at + 4 > end) return 'incomplete';
      const length = readInt32(bytes, at);
      at += 4;
      if (field === this.field) {
        if (length < 0) return 'null key';
        key.bytes = bytes;
        key.start = at;
        key.end = Math.min(end, at + length);
        return 'row';
      }
      at += Math.max(0, length);
    }
  }
}

function headerEnd(bytes: Buffer, start: number, end: number): number {
  const known = Math.min(end - start, SIGNATURE.length);
  if (bytes.compare(SIGNATURE, 0, known, start, start + known) !== 0) {
    throw sqlError('bad_copy_file_format', 'COPY file signature not recognized');
  }
  if (end - start < HEADER_BYTES) return -1;
  const flags = readInt32(bytes, start + SIGNATURE.length);
  const extension = readInt32(bytes, start + SIGNATURE.length + 4);
  if ((flags & FLAG_OIDS) !== 0) {
    throw sqlError('bad_copy_file_format', 'invalid COPY file header (WITH OIDS)');
  }
  if (extension < 0)
    throw sqlError('bad_copy_file_format', 'invalid COPY file header (missing length)');
  const stop = start + HEADER_BYTES + extension;
  return stop > end ? -1 : stop;
}

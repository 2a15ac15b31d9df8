import { FIRST_USER_OID } from '../../keyspace/type-oids.js';
import { afterCString, readInt32, readUint16 } from '../../protocol/framing.js';
import { RECORD, RECORD_ARRAY, type OidMap } from './oid-map.js';

/*
 * OIDs inside of binary values (PostgreSQL 18, array_send and record_send), exchanged where they stand:
 *
 *   array: | dimensions 4 | has nulls 4 | element type 4 | size 4, lower bound 4 for each dimension | elements
 *   row:   | fields 4 | type 4, then the value, for each field
 *
 * An element or value is its length (4; -1: null) and bytes. What is cut short is left as it is.
 */

/** A column of a result, in binary format, whose values have OIDs in them. */
export interface MappedColumn {
  readonly index: number;
  /** As the shard calls it. */
  readonly type: number;
}

/** Behind a column's name: table (4), attribute number (2), type (4), size (2), modifier (4), format (2). */
const COLUMN_BYTES = 18;
const BINARY = 1;

/** The columns of a shard's RowDescription, its own OIDs in it, whose values are to be mapped; null: none. */
export function mappedColumns(
  buffer: Buffer,
  start: number,
  end: number,
  map: OidMap,
): readonly MappedColumn[] | null {
  const found: MappedColumn[] = [];
  const count = readUint16(buffer, start + 5);
  let at = start + 7;
  for (let index = 0; index < count; index++) {
    at = afterCString(buffer, at, end);
    if (at < 0 || at + COLUMN_BYTES > end) return null;
    const type = readInt32(buffer, at + 6) >>> 0;
    const format = readUint16(buffer, at + 16);
    if (format === BINARY && map.containerOf(type) !== null) found.push({ index, type });
    at += COLUMN_BYTES;
  }
  return found.length === 0 ? null : found;
}

/** A shard's DataRow at `start` as the catalog shard would say it. To be done once. */
export function mapRow(
  buffer: Buffer,
  start: number,
  columns: readonly MappedColumn[],
  map: OidMap,
): void {
  let at = start + 7;
  let index = 0;
  for (const column of columns) {
    for (; index < column.index; index++) at += 4 + Math.max(0, readInt32(buffer, at));
    const length = readInt32(buffer, at);
    if (length >= 0) mapValue(buffer, at + 4, at + 4 + length, column.type, map);
  }
}

/** Whether values of a column of a RowDescription may have OIDs of users' types in them. */
export function mayHoldOids(rowDescription: Buffer): boolean {
  const count = readUint16(rowDescription, 5);
  let at = 7;
  for (let index = 0; index < count; index++) {
    at = afterCString(rowDescription, at, rowDescription.length);
    const type = readInt32(rowDescription, at + 6) >>> 0;
    if (type >= FIRST_USER_OID || type === RECORD || type === RECORD_ARRAY) return true;
    at += COLUMN_BYTES;
  }
  return false;
}

function mapValue(buffer: Buffer, start: number, end: number, type: number, map: OidMap): void {
  const container = map.containerOf(type);
  if (container === 'array') mapArray(buffer, start, end, map);
  else if (container === 'row') mapFields(buffer, start, end, map);
}

function mapArray(buffer: Buffer, start: number, end: number, map: OidMap): void {
  if (start + 12 > end) return;
  const element = mapOid(buffer, start + 8, map);
  if (map.containerOf(element) === null) return;
  let at = start + 12 + 8 * readInt32(buffer, start);
  while (at + 4 <= end) {
    const length = readInt32(buffer, at);
    at += 4;
    if (length < 0) continue;
    mapValue(buffer, at, at + length, element, map);
    at += length;
  }
}

function mapFields(buffer: Buffer, start: number, end: number, map: OidMap): void {
  let at = start + 4;
  while (at + 8 <= end) {
    const type = mapOid(buffer, at, map);
    const length = readInt32(buffer, at + 4);
    at += 8;
    if (length < 0) continue;
    mapValue(buffer, at, at + length, type, map);
    at += length;
  }
}

/** Answers what the shard calls the type. */
function mapOid(buffer: Buffer, at: number, map: OidMap): number {
  const type = readInt32(buffer, at) >>> 0;
  if (type >= FIRST_USER_OID) buffer.writeUInt32BE(map.catalogType(type), at);
  return type;
}

/** Whether a Bind message, from behind the statement's name on, asks for a result in binary format. */
export function wantsBinary(bindRest: Buffer): boolean {
  const formats = readUint16(bindRest, 0);
  let at = 2 + 2 * formats;
  const values = readUint16(bindRest, at);
  at += 2;
  for (let i = 0; i < values; i++) at += 4 + Math.max(0, readInt32(bindRest, at));
  const results = readUint16(bindRest, at);
  for (let i = 0; i < results; i++) {
    if (readUint16(bindRest, at + 2 + 2 * i) === BINARY) return true;
  }
  return false;
}

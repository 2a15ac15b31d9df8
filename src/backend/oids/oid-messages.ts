import { FIRST_USER_OID } from '../../keyspace/type-oids.js';
import { afterCString, readInt32, readUint16 } from '../../protocol/framing.js';
import type { OidMap } from './oid-map.js';

/*
 * OIDs are exchanged where they stand: no message changes its length. Messages that are cut short
 * are left to whoever reads them.
 */

/** Behind a column's name: table (4), attribute number (2), type (4), size (2), modifier (4), format (2). */
const COLUMN_BYTES = 18;
/** An array's header: dimensions (4), flags (4), elements' type (4) (array_send, arrayfuncs.c). */
const ARRAY_HEADER_BYTES = 12;

/** A shard's RowDescription as the catalog shard would say it. */
export function mapRowDescription(buffer: Buffer, start: number, end: number, map: OidMap): void {
  let at = start + 7;
  for (let left = readUint16(buffer, start + 5); left > 0; left--) {
    at = afterCString(buffer, at, end);
    if (at < 0 || at + COLUMN_BYTES > end) return;
    const table = readInt32(buffer, at) >>> 0;
    if (table >= FIRST_USER_OID) buffer.writeUInt32BE(map.catalogRelation(table), at);
    const type = readInt32(buffer, at + 6) >>> 0;
    if (type >= FIRST_USER_OID) buffer.writeUInt32BE(map.catalogType(type), at + 6);
    at += COLUMN_BYTES;
  }
}

/** A shard's ParameterDescription as the catalog shard would say it. */
export function mapParameterDescription(
  buffer: Buffer,
  start: number,
  end: number,
  map: OidMap,
): void {
  for (let at = start + 7; at + 4 <= end; at += 4) {
    const type = readInt32(buffer, at) >>> 0;
    if (type >= FIRST_USER_OID) buffer.writeUInt32BE(map.catalogType(type), at);
  }
}

/**
 * Parameter types of a ParameterDescription, or of the end of a Parse message: their count is at
 * `at`. Null: none of them is a user's.
 */
export function userTypesAt(buffer: Buffer, at: number, end: number): number[] | null {
  const types: number[] = [];
  let isUsers = false;
  for (let from = at + 2; from + 4 <= end; from += 4) {
    const type = readInt32(buffer, from) >>> 0;
    if (type >= FIRST_USER_OID) isUsers = true;
    types.push(type);
  }
  return isUsers ? types : null;
}

/** A copy of a Parse message's content from behind the name on, with the shard's types. */
export function parseRestFor(parseRest: Buffer, map: OidMap): Buffer {
  const mapped = Buffer.from(parseRest);
  for (let at = afterCString(mapped, 0, mapped.length) + 2; at + 4 <= mapped.length; at += 4) {
    mapped.writeUInt32BE(map.shardType(readInt32(mapped, at) >>> 0), at);
  }
  return mapped;
}

/**
 * Gives binary arrays among a Bind message's values the shard's OID of their elements.
 * @param rest the message from behind the statement's name, sound
 * @param types of the parameters, as the catalog shard calls them; 0 or missing: not known
 */
export function mapBoundArrays(rest: Buffer, types: readonly number[], map: OidMap): void {
  const formats = readUint16(rest, 0);
  let at = 2 + 2 * formats;
  const count = readUint16(rest, at);
  at += 2;
  for (let i = 0; i < count; i++) {
    const length = Math.max(0, readInt32(rest, at));
    at += 4;
    const isBinary = formats > 0 && readUint16(rest, formats === 1 ? 2 : 2 + 2 * i) === 1;
    if (isBinary && length >= ARRAY_HEADER_BYTES && map.isArray(types[i] ?? 0)) {
      rest.writeUInt32BE(map.shardType(readInt32(rest, at + 8) >>> 0), at + 8);
    }
    at += length;
  }
}

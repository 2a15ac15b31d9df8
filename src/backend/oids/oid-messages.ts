import { FIRST_USER_OID } from '../../keyspace/type-oids.js';
import { afterCString, readInt32, readUint16 } from '../../protocol/framing.js';
import type { OidMap } from './oid-map.js';

/*
 * OIDs are exchanged where they stand: no message changes its length. Messages that are cut short
 * are left to whoever reads them.
 */

/** Behind a column's name: table (4), attribute number (2), type (4), size (2), modifier (4), format (2). */
const COLUMN_BYTES = 18;

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

/** Whether a user's type is among the parameter types of a Parse message, from behind its name on. */
export function namesUserTypes(parseRest: Buffer): boolean {
  const types = afterCString(parseRest, 0, parseRest.length) + 2;
  for (let at = types; at + 4 <= parseRest.length; at += 4) {
    if (readInt32(parseRest, at) >>> 0 >= FIRST_USER_OID) return true;
  }
  return false;
}

/** A copy of a Parse message's content from behind the name on, with the shard's types. */
export function parseRestFor(parseRest: Buffer, map: OidMap): Buffer {
  const mapped = Buffer.from(parseRest);
  for (let at = afterCString(mapped, 0, mapped.length) + 2; at + 4 <= mapped.length; at += 4) {
    mapped.writeUInt32BE(map.shardType(readInt32(mapped, at) >>> 0), at);
  }
  return mapped;
}

import { MAPPED, NO_MATCH, type MapOutcome, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import type { BytesSink, KeyFamily, KeySinks } from './key-sinks.js';

const ID_BYTES = 8;

const idOfBytes: BytesSink = (bytes, start, end, out) => {
  out.hi = word(bytes, start, end);
  out.lo = word(bytes, start + 4, end);
  return MAPPED;
};

/** What is longer than the id, or ends with a zero, shares its place with smaller values. */
const placeOfBytes: BytesSink = (bytes, start, end, out): MapOutcome => {
  idOfBytes(bytes, start, end, out);
  const isLeast = end === start || (end - start <= ID_BYTES && bytes[end - 1] !== 0);
  return isLeast ? MAPPED : NO_MATCH;
};

const sinks: KeySinks = { text: idOfBytes, bytea: idOfBytes, uuid: idOfBytes };
const places: KeySinks = { text: placeOfBytes, bytea: placeOfBytes, uuid: placeOfBytes };

/**
 * The first eight bytes of the value are the keyspace id, filled up with zeros: for keys that are spread already, such
 * as random uuids, and for prefixes that say where a row lives. Keeps the order of bytes. Vitess's `binary`.
 */
export function makeBinaryVindex(name: string): Vindex {
  return makeComputed({
    name,
    type: 'binary',
    mapping: 'binary',
    sinks,
    sql,
    order: { sinks: places, eachSpan: (first, last, visit) => visit(first, last) },
  });
}

function sql(column: string, family: KeyFamily): string {
  if (family === 'uuid') {
    const digits = `pg_catalog.replace(${column}::pg_catalog.uuid::pg_catalog.text, '-', '')`;
    return `('x' || pg_catalog.substr(${digits}, 1, 16))::bit(64)::int8`;
  }
  const bytes =
    family === 'bytea'
      ? `${column}::pg_catalog.bytea`
      : `pg_catalog.convert_to(${column}::pg_catalog.text, 'UTF8')`;
  const start = `pg_catalog.encode(pg_catalog.substr(${bytes}, 1, ${ID_BYTES}), 'hex')`;
  return `('x' || pg_catalog.rpad(${start}, 16, '0'))::bit(64)::int8`;
}

/** Four bytes, most significant first; zeros behind the end. */
function word(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < start + 4; at++) value = value * 256 + (at < end ? bytes[at]! : 0);
  return value;
}

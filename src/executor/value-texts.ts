import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { NO_MATCH, UNREADABLE, type KeyMapper, type MapOutcome } from '../keyspace/vindex.js';

/** Stands in a vindex's place and notes the values as text; it maps none of them. */
export class ValueTexts implements KeyMapper {
  values: string[] = [];
  readonly #binary: (bytes: Buffer) => string | null;

  constructor(type: number) {
    this.#binary = binaryTexts.get(type) ?? (() => null);
  }

  text(bytes: Uint8Array, start: number, end: number, _out: KeyspaceIdCell): MapOutcome {
    this.values.push(Buffer.from(bytes.subarray(start, end)).toString('utf8'));
    return NO_MATCH;
  }

  binary(bytes: Uint8Array, start: number, end: number, _out: KeyspaceIdCell): MapOutcome {
    const text = this.#binary(Buffer.from(bytes.subarray(start, end)));
    if (text === null) return UNREADABLE;
    this.values.push(text);
    return NO_MATCH;
  }
}

const utf8 = (bytes: Buffer): string => bytes.toString('utf8');
const integer =
  (size: number, read: (bytes: Buffer) => bigint | number) =>
  (bytes: Buffer): string | null =>
    bytes.length === size ? String(read(bytes)) : null;

/** From the binary form, for the types that clients send in it. */
const binaryTexts: ReadonlyMap<number, (bytes: Buffer) => string | null> = new Map([
  [TypeOid.text, utf8],
  [TypeOid.varchar, utf8],
  [TypeOid.bpchar, utf8],
  [TypeOid.int2, integer(2, (bytes) => bytes.readInt16BE())],
  [TypeOid.int4, integer(4, (bytes) => bytes.readInt32BE())],
  [TypeOid.int8, integer(8, (bytes) => bytes.readBigInt64BE())],
  [TypeOid.uuid, (bytes: Buffer) => (bytes.length === 16 ? uuidText(bytes) : null)],
]);

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

/** A value as text, from its binary form; null: its type is not known here. */
export function textOfBinary(type: number, bytes: Buffer): string | null {
  return binaryTexts.get(type)?.(bytes) ?? null;
}

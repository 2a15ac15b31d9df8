import { sqlError, type SqlError } from '../errors/sql-error.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { RefusedInput } from './input-errors.js';

/** Bytes of the types whose binary form has one length. */
const sizes: ReadonlyMap<number, number> = new Map([
  [TypeOid.bool, 1],
  [TypeOid.int2, 2],
  [TypeOid.int4, 4],
  [TypeOid.date, 4],
  [TypeOid.int8, 8],
  [TypeOid.timestamp, 8],
  [TypeOid.timestamptz, 8],
  [TypeOid.uuid, 16],
]);

/** The error of a type's receive function, or of Bind where bytes are left over. */
export function binaryError(input: RefusedInput): SqlError {
  const { type, start, end } = input;
  const size = sizes.get(type);
  if (type === TypeOid.numeric) return numericError(input);
  if (size === undefined || end - start > size) return leftOver(input);
  // pq_getmsgbyte has words of its own.
  return missing(size === 1 ? 'no' : 'insufficient');
}

function leftOver({ parameter }: RefusedInput): SqlError {
  const message =
    parameter === 0
      ? 'incorrect binary data format'
      : `incorrect binary data format in bind parameter ${parameter}`;
  return sqlError('invalid_binary_representation', message);
}

function missing(what: 'no' | 'insufficient'): SqlError {
  return sqlError('protocol_violation', `${what} data left in message`);
}

/** NUMERIC_POS, NUMERIC_NEG, NUMERIC_NAN, NUMERIC_PINF, NUMERIC_NINF. */
const numericSigns = new Set([0x0000, 0x4000, 0xc000, 0xd000, 0xf000]);
const NUMERIC_SCALE_MASK = 0x3fff;

/** In the order in which numeric_recv reads: count of digits, weight, sign, scale, digits. */
function numericError(input: RefusedInput): SqlError {
  const { bytes, start, end } = input;
  const word = (index: number): number | null => {
    const at = start + 2 * index;
    return at + 2 > end ? null : (bytes[at]! << 8) | bytes[at + 1]!;
  };
  const external = (what: string): SqlError =>
    sqlError('invalid_binary_representation', `invalid ${what} in external "numeric" value`);
  const count = word(0);
  if (count === null) return missing('insufficient');
  const [weight, sign, scale] = [word(1), word(2), word(3)];
  if (weight === null || sign === null) return missing('insufficient');
  if (!numericSigns.has(sign)) return external('sign');
  if (scale === null) return missing('insufficient');
  if (scale > NUMERIC_SCALE_MASK) return external('scale');
  for (let index = 0; index < count; index++) {
    const digit = word(4 + index);
    if (digit === null) return missing('insufficient');
    if (digit >= 10_000) return external('digit');
  }
  return leftOver(input);
}

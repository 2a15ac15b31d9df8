import { sqlError } from '../../errors/sql-error.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { GROUP_BASE } from './decimal.js';
import { SIGN_NEGATIVE } from './numeric.js';

/** Writes an id, which is at hand as text, in a type's binary format. Throws SqlError where the type cannot hold it. */
export type ToBinary = (id: string) => Buffer;

const writers: ReadonlyMap<number, ToBinary> = new Map<number, ToBinary>([
  [TypeOid.int2, (id) => int16(inRange(id, 16, 'smallint'))],
  [TypeOid.int4, (id) => int32(inRange(id, 32, 'integer'))],
  [TypeOid.int8, int64],
  [TypeOid.float4, float32],
  [TypeOid.float8, float64],
  [TypeOid.numeric, numeric],
  [TypeOid.uuid, (id) => Buffer.from(id.replaceAll('-', ''), 'hex')],
  [TypeOid.text, (id) => Buffer.from(id)],
  [TypeOid.varchar, (id) => Buffer.from(id)],
]);

/** Undefined: ids of this type are not written in binary. */
export function binaryWriter(type: number): ToBinary | undefined {
  return writers.get(type);
}

function inRange(id: string, bits: number, type: string): number {
  const value = BigInt(id);
  if (BigInt.asIntN(bits, value) !== value) {
    throw sqlError('numeric_value_out_of_range', `${type} out of range`);
  }
  return Number(value);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(id: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(id));
  return bytes;
}

function float32(id: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(Number(id));
  return bytes;
}

function float64(id: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(Number(id));
  return bytes;
}

/** Ids are whole: count of groups, weight of the first one, sign, scale, groups (PostgreSQL 18, numeric_send). */
function numeric(id: string): Buffer {
  const negative = id.startsWith('-');
  const groups: number[] = [];
  let rest = BigInt(negative ? id.slice(1) : id);
  for (; rest > 0n; rest /= BigInt(GROUP_BASE)) groups.unshift(Number(rest % BigInt(GROUP_BASE)));
  const head = [groups.length, Math.max(0, groups.length - 1), negative ? SIGN_NEGATIVE : 0, 0];
  return Buffer.concat([...head, ...groups].map(int16));
}

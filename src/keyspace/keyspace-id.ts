/**
 * A keyspace id: an unsigned 64-bit number as two unsigned 32-bit halves. BigInt costs 0.5 us where halves cost
 * 0.05 us, and a cell that is written into lets the hot path route without allocating.
 */
export class KeyspaceIdCell {
  hi = 0;
  lo = 0;
}

export interface KeyspaceId {
  readonly hi: number;
  readonly lo: number;
}

export function compareKeyspaceIds(a: KeyspaceId, b: KeyspaceId): number {
  return a.hi !== b.hi ? a.hi - b.hi : a.lo - b.lo;
}

export const LEAST_ID: KeyspaceId = Object.freeze({ hi: 0, lo: 0 });
export const GREATEST_ID: KeyspaceId = Object.freeze({ hi: 0xffffffff, lo: 0xffffffff });

/** The id in front of another one, which is not the least. */
export function idBefore({ hi, lo }: KeyspaceId): KeyspaceId {
  return lo === 0 ? { hi: hi - 1, lo: 0xffffffff } : { hi, lo: lo - 1 };
}

/** An id as the signed bigint that SQL has. */
export function signedId({ hi, lo }: KeyspaceId): string {
  return String(BigInt.asIntN(64, (BigInt(hi) << 32n) | BigInt(lo)));
}

/** The id of such a bigint. */
export function idFromSigned(signed: string): KeyspaceId {
  const id = BigInt.asUintN(64, BigInt(signed));
  return { hi: Number(id >> 32n), lo: Number(id & 0xffffffffn) };
}

import { FIRST_USER_OID } from '../keyspace/type-oids.js';
import { afterCString, readInt32, readUint16 } from '../protocol/framing.js';

/** A column of a result, as RowDescription tells it. */
export interface ResultColumn {
  readonly name: string;
  /** OID of its type. */
  readonly type: number;
  /** -1: none. */
  readonly typmod: number;
}

/** The columns of a whole RowDescription message. */
export function readRowDescription(buffer: Buffer, start: number, end: number): ResultColumn[] {
  const columns: ResultColumn[] = [];
  const count = readUint16(buffer, start + 5);
  let at = start + 7;
  for (let i = 0; i < count; i++) {
    const afterName = afterCString(buffer, at, end);
    // Behind the name: table OID (4), attribute number (2), type OID (4), length (2), modifier (4), format (2).
    columns.push({
      name: buffer.toString('utf8', at, afterName - 1),
      type: readInt32(buffer, afterName + 6) >>> 0,
      typmod: readInt32(buffer, afterName + 12),
    });
    at = afterName + 18;
  }
  return columns;
}

/** Whether two results have columns of the same types, as far as servers agree on their OIDs. */
export function sameTypes(a: readonly ResultColumn[], b: readonly ResultColumn[]): boolean {
  const common = ({ type }: ResultColumn): number => Math.min(type, FIRST_USER_OID);
  return a.length === b.length && a.every((column, i) => common(column) === common(b[i]!));
}

/** Built-in types that have no binary form, or one with OIDs in it, which are each server's own. */
const TEXT_ONLY: ReadonlySet<number> = new Set([
  // aclitem, gtsvector
  1033, 1034, 3642, 3644,
  // regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary,
  // regnamespace, regrole, regcollation; arrays of them
  24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1008, 2207, 2208, 2209, 2210,
  2211, 3735, 3770, 4090, 4097, 4192,
]);

/** A value's binary form means the same on every server. */
export function travelsInBinary({ type }: ResultColumn): boolean {
  return type < FIRST_USER_OID && !TEXT_ONLY.has(type);
}

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

/** Whether two results have the same columns: name, type and modifier. `null`: no rows at all. */
export function sameColumns(a: Buffer | null, b: Buffer | null): boolean {
  if (a === null || b === null) return a === b;
  const [ours, theirs] = [a, b].map((message) => readRowDescription(message, 0, message.length));
  return (
    ours!.length === theirs!.length &&
    ours!.every(({ name, type, typmod }, i) => {
      const other = theirs![i]!;
      return name === other.name && type === other.type && typmod === other.typmod;
    })
  );
}

/** Whether two results have columns of the same types, as far as servers agree on their OIDs. */
export function sameTypes(a: readonly ResultColumn[], b: readonly ResultColumn[]): boolean {
  const common = ({ type }: ResultColumn): number => Math.min(type, FIRST_USER_OID);
  return a.length === b.length && a.every((column, i) => common(column) === common(b[i]!));
}

/** Whether a RowDescription message has columns of these types, in the sense of `sameTypes`. */
export function hasTypes(
  buffer: Buffer,
  start: number,
  end: number,
  columns: readonly ResultColumn[],
): boolean {
  if (readUint16(buffer, start + 5) !== columns.length) return false;
  let at = start + 7;
  for (const { type } of columns) {
    // Behind the name: table OID (4), attribute number (2), type OID (4).
    const behind = afterCString(buffer, at, end);
    const told = readInt32(buffer, behind + 6) >>> 0;
    if (told !== type && Math.min(told, type) < FIRST_USER_OID) return false;
    at = behind + 18;
  }
  return true;
}

/**
 * A value's binary form means the same on every server. `textOnly`: `Catalog.textOnlyTypes`, where it is known. OIDs
 * of user-defined types inside such a form are other ones on another server, which PostgreSQL does not mind.
 */
export function travelsInBinary(
  { type }: ResultColumn,
  textOnly: ReadonlySet<number> | undefined,
): boolean {
  return textOnly === undefined ? type < FIRST_USER_OID : !textOnly.has(type);
}

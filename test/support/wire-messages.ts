/**
 * The messages of the frontend/backend protocol as a test wants to see them. Written from the protocol
 * chapter, apart from src/protocol, so that both cannot share a mistake.
 * Source: PostgreSQL 18, "Message Formats" (54.7).
 */
export interface WireMessage {
  /** The type byte, such as `T`. */
  readonly type: string;
  readonly body: Buffer;
}

export interface WireField {
  readonly name: string;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typeModifier: number;
  readonly format: number;
}

/** A frontend message; without a type for those of the start of a connection. */
export function frame(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? cstring(part) : part)),
  );
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body]);
}

export function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

/** A value of Bind: length and bytes, -1 for NULL. */
export function bindValue(value: string | Buffer | null): Buffer {
  if (value === null) return int32(-1);
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([int32(bytes.length), bytes]);
}

/** Values of a DataRow. */
export function rowValues(message: WireMessage): (Buffer | null)[] {
  const { body } = message;
  const values: (Buffer | null)[] = [];
  let offset = 2;
  for (let i = body.readUInt16BE(0); i > 0; i--) {
    const length = body.readInt32BE(offset);
    offset += 4;
    if (length === -1) {
      values.push(null);
    } else {
      values.push(body.subarray(offset, offset + length));
      offset += length;
    }
  }
  return values;
}

/** Values of a DataRow in text format. */
export function rowTexts(message: WireMessage): (string | null)[] {
  return rowValues(message).map((value) => value?.toString() ?? null);
}

/** Columns of a RowDescription. */
export function rowFields(message: WireMessage): WireField[] {
  const { body } = message;
  const fields: WireField[] = [];
  let offset = 2;
  for (let i = body.readUInt16BE(0); i > 0; i--) {
    const end = body.indexOf(0, offset);
    const name = body.toString('utf8', offset, end);
    offset = end + 1;
    fields.push({
      name,
      tableOid: body.readUInt32BE(offset),
      columnNumber: body.readInt16BE(offset + 4),
      typeOid: body.readUInt32BE(offset + 6),
      typeSize: body.readInt16BE(offset + 10),
      typeModifier: body.readInt32BE(offset + 12),
      format: body.readInt16BE(offset + 16),
    });
    offset += 18;
  }
  return fields;
}

/** Fields of an ErrorResponse or NoticeResponse by their letter: C is the SQLSTATE, M the message. */
export function errorFields(message: WireMessage): Record<string, string> {
  const fields: Record<string, string> = {};
  let offset = 0;
  while (message.body[offset] !== 0) {
    const letter = String.fromCharCode(message.body[offset]!);
    const end = message.body.indexOf(0, offset + 1);
    fields[letter] = message.body.toString('utf8', offset + 1, end);
    offset = end + 1;
  }
  return fields;
}

/** The zero-terminated texts of a body: a tag of CommandComplete, name and value of ParameterStatus. */
export function texts(message: WireMessage): string[] {
  return message.body.toString('utf8').split('\0').slice(0, -1);
}

/** What a server calls its tables and types, by OID: other numbers on each server. */
export interface OidNames {
  table(oid: number): string | boolean;
  type(oid: number): string | number;
}

/** Tells only whether a column comes from a table, and types by their OID: enough for built-in types. */
export const NO_NAMES: OidNames = {
  table: (oid) => oid !== 0,
  type: (oid) => oid,
};

/** One line per message, for comparing two servers: type and what a client can tell apart. */
export function summary(message: WireMessage): string {
  return summaryWith(NO_NAMES, message);
}

/** The same, with names for OIDs. */
export function summaryWith(names: OidNames, message: WireMessage): string {
  switch (message.type) {
    case 'D':
      return `D ${JSON.stringify(rowValues(message).map((value) => value?.toString('latin1') ?? null))}`;
    case 'T':
      return `T ${JSON.stringify(rowFields(message).map((field) => comparableField(field, names)))}`;
    case 't':
      return `t ${JSON.stringify(parameterTypes(message).map((oid) => names.type(oid)))}`;
    case 'E':
    case 'N': {
      // File, line and routine belong to the server's source, not to the answer, but for one that drivers look at.
      const { F: _file, L: _line, R: routine, ...fields } = errorFields(message);
      const told = routine === 'RevalidateCachedQuery' ? { ...fields, R: routine } : fields;
      return `${message.type} ${JSON.stringify(told)}`;
    }
    case 'K':
      return `K ${message.body.length} bytes`;
    default:
      return `${message.type} ${message.body.toString('latin1')}`;
  }
}

/** OIDs of a ParameterDescription. */
export function parameterTypes({ body }: WireMessage): number[] {
  return Array.from({ length: body.readUInt16BE(0) }, (_, i) => body.readUInt32BE(2 + 4 * i));
}

function comparableField(field: WireField, names: OidNames): object {
  const { tableOid, typeOid } = field;
  return { ...field, tableOid: names.table(tableOid), typeOid: names.type(typeOid) };
}

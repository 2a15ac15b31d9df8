import { limits } from './limits.js';
import { quoted, type Path, type Reader } from './reader.js';

const DEFAULT_SCHEMA = 'public';

/** `name` or `schema.name`, as far as a pattern tells. */
export const TABLE_NAME = /^[^.]+([.][^.]+)?$/;

/** `orders` (schema public) or `sales.orders`. */
export function readTableName(
  reader: Reader,
  path: Path,
  key: string,
): { readonly schema: string; readonly name: string } | null {
  const parts = key.split('.');
  const named = parts.every((part) => {
    const bytes = Buffer.byteLength(part);
    return bytes >= limits.nameBytes.min && bytes <= limits.nameBytes.max;
  });
  if (!named || parts.length > 2 || key.includes('\0')) {
    const cure = 'write name or schema.name, each of up to 63 bytes, spelled as \\d shows it';
    reader.report(path, `${quoted(key)} is no table name`, cure);
    return null;
  }
  const [first, second] = parts;
  const schema = second === undefined ? DEFAULT_SCHEMA : first!;
  const name = second ?? first!;
  if (isReservedSchema(schema)) {
    const cure = 'leave it out: system tables are found without being named here';
    reader.report(path, `schema ${quoted(schema)} is reserved`, cure);
    return null;
  }
  return { schema, name };
}

/** pg_* belongs to Postgres, `shardgate` to the proxy's own tables on the shards. */
function isReservedSchema(schema: string): boolean {
  return schema.startsWith('pg_') || schema === 'information_schema' || schema === 'shardgate';
}

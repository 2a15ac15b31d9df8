/** NAMEDATALEN of PostgreSQL, without the terminating zero. */
const NAME_BYTES_MAX = 63;

/**
 * What a server knows a prepared statement or portal of the protocol by: the first 63 bytes of its name, which may cut
 * a character. Longer names that begin alike are one name.
 */
export function storedName(name: string): string {
  // No character of a JavaScript string takes more than three bytes of UTF-8.
  if (3 * name.length < NAME_BYTES_MAX) return name;
  return Buffer.from(name, 'utf8').toString('latin1', 0, NAME_BYTES_MAX);
}

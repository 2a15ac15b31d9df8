import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAPPED } from '../keyspace/vindex.js';
import type { BytesSink, KeySinks } from './key-sinks.js';
import { CANONICAL_BYTES_MAX, writeInt64, writeUuid } from './values/canonical-text.js';

export type Digest = (bytes: Uint8Array, start: number, end: number, out: KeyspaceIdCell) => void;

const canonical = new Uint8Array(CANONICAL_BYTES_MAX);

/**
 * Sinks of a digest over the bytes of a value's text: numbers in decimal digits, a uuid in lower case with hyphens,
 * text and bytea as they are. So other systems compute the same of the values that they show.
 */
export function digestSinks(
  digest: Digest,
): Required<Pick<KeySinks, 'int' | 'text' | 'bytea' | 'uuid'>> {
  const ofBytes: BytesSink = (bytes, start, end, out) => {
    digest(bytes, start, end, out);
    return MAPPED;
  };
  return {
    int(hi, lo, out) {
      digest(canonical, writeInt64(hi, lo, canonical), CANONICAL_BYTES_MAX, out);
      return MAPPED;
    },
    text: ofBytes,
    bytea: ofBytes,
    uuid(bytes, start, _end, out) {
      writeUuid(bytes, start, canonical);
      digest(canonical, 0, CANONICAL_BYTES_MAX, out);
      return MAPPED;
    },
  };
}

import { MAPPED, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { littleEndianXxh64 } from './xxhash.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const folded = new Uint8Array(1024);

/**
 * XXH64 of text without case, accents and blanks at its end, so that `Müller`, `MULLER` and `muller ` live on one
 * shard. Whether values are equal is left to the column's own `=`. No shard can compute it.
 */
export function makeUnicodeLooseVindex(name: string): Vindex {
  return makeComputed({
    name,
    type: 'unicode_loose',
    mapping: 'unicode_loose',
    sinks: {
      text(bytes, start, end, out) {
        const text = fold(decoder.decode(bytes.subarray(start, end)));
        const { read, written } = encoder.encodeInto(text, folded);
        if (read === text.length) littleEndianXxh64(folded, 0, written, out);
        else {
          const long = encoder.encode(text);
          littleEndianXxh64(long, 0, long.length, out);
        }
        return MAPPED;
      },
    },
    sql: () => null,
  });
}

/**
 * Blocks of Latin, Greek and Cyrillic letters with their accents. Unicode gives them no new letters, so that what is
 * folded is the same in every version of the runtime: elsewhere a later version might send a stored value to another
 * shard.
 */
const FOLDABLE = /[\u0041-\u005a\u00c0-\u024f\u0300-\u036f\u0370-\u052f\u1e00-\u1fff]+/g;
const ACCENTS = /[\u0300-\u036f]/g;

function fold(text: string): string {
  const trimmed = text.replace(/ +$/, '');
  return trimmed.replace(FOLDABLE, (letters) =>
    letters.normalize('NFKD').toLowerCase().replace(ACCENTS, '').replaceAll('ς', 'σ'),
  );
}

import { MAPPED, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { littleEndianXxh64 } from './xxhash.js';

const decoder = new TextDecoder();
const folded = new Uint8Array(1024);
const BLANK = 0x20;
const LETTER_A = 0x41;
const LETTER_Z = 0x5a;
/** From a capital letter to its small one. */
const LOWER = 0x20;

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
        const length = foldAscii(bytes, start, end);
        if (length >= 0) {
          littleEndianXxh64(folded, 0, length, out);
          return MAPPED;
        }
        const text = Buffer.from(fold(decoder.decode(bytes.subarray(start, end))));
        littleEndianXxh64(text, 0, text.length, out);
        return MAPPED;
      },
    },
    sql: () => null,
  });
}

/** Folds text of ASCII characters into `folded` and returns its length; -1: it is other text, or long. */
function foldAscii(bytes: Uint8Array, start: number, end: number): number {
  let stop = end;
  while (stop > start && bytes[stop - 1] === BLANK) stop--;
  if (stop - start > folded.length) return -1;
  for (let at = start; at < stop; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return -1;
    folded[at - start] = byte >= LETTER_A && byte <= LETTER_Z ? byte + LOWER : byte;
  }
  return stop - start;
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

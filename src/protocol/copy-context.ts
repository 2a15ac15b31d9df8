import { readErrorFields } from './backend-messages.js';
import { Backend } from './codes.js';
import { Writer } from './writer.js';

/** Of PostgreSQL's context of an error in COPY data: `COPY orders, line 7, column total: "x"`. */
const LINE = /^(COPY [^\n]*?), line (\d+)/gm;
/** PostgreSQL 18, copyfrom.c, MAX_COPY_DATA_DISPLAY. */
const SHOWN_BYTES_MAX = 100;

/**
 * An ErrorResponse of a shard that got some of the lines of a COPY, with the line of the client's data in place of its
 * own. Answers a copy.
 * @param lineOf the client's line; null: it is not known, and so is not told
 */
export function withCopyLine(error: Buffer, lineOf: (line: number) => number | null): Buffer {
  const writer = new Writer(error.length).begin(Backend.errorResponse);
  for (const [letter, value] of readErrorFields(error, 0, error.length)) {
    const told =
      letter !== 'W'
        ? value
        : value.replace(LINE, (_whole, copy: string, line: string) => {
            const ours = lineOf(Number(line));
            return ours === null ? copy : `${copy}, line ${ours}`;
          });
    writer.byte(letter.charCodeAt(0)).cstring(told);
  }
  return writer.byte(0).end().take();
}

/** A value of COPY data as contexts of errors show it, cut where it is long. */
export function shownCopyValue(bytes: Uint8Array, start: number, end: number): string {
  let cut = Math.min(end, start + SHOWN_BYTES_MAX);
  // No character is cut in two.
  if (cut < end) while (cut > start && (bytes[cut]! & 0xc0) === 0x80) cut--;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, cut - start).toString('utf8');
  return cut < end ? `${text}...` : text;
}

import { readErrorFields } from './backend-messages.js';
import { Backend } from './codes.js';
import { Writer } from './writer.js';

/** Of PostgreSQL's context of an error in COPY data: `COPY orders, line 7, column total: "x"`. */
const LINE = /^(COPY [^\n]*?), line \d+/gm;

/**
 * An ErrorResponse of a shard that got some of the lines of a COPY: the number that it tells is not that of the
 * client's line, so it goes. Answers a copy.
 */
export function withoutCopyLine(error: Buffer): Buffer {
  const writer = new Writer(error.length).begin(Backend.errorResponse);
  for (const [letter, value] of readErrorFields(error, 0, error.length)) {
    const told = letter === 'W' ? value.replace(LINE, '$1') : value;
    writer.byte(letter.charCodeAt(0)).cstring(told);
  }
  return writer.byte(0).end().take();
}

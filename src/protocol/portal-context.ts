import { readErrorFields } from './backend-messages.js';
import { Backend } from './codes.js';
import { Writer } from './writer.js';

/** Of PostgreSQL's context of an error in a value of Bind: `portal "c" parameter $2 = 'x'`. */
const PORTAL = /^(?:unnamed portal|portal "[^\n]*?") parameter \$/m;

/** What PostgreSQL calls a portal in the context of an error. */
export function portalContext(name: string): string {
  return name === '' ? 'unnamed portal' : `portal "${name}"`;
}

/**
 * An ErrorResponse of a Bind that a shard got for a portal of ours, as the client's portal of this name would have had
 * it. Answers a copy.
 */
export function withPortalName(error: Buffer, name: string): Buffer {
  const writer = new Writer(error.length + name.length).begin(Backend.errorResponse);
  for (const [letter, value] of readErrorFields(error, 0, error.length)) {
    const told =
      letter === 'W' ? value.replace(PORTAL, () => `${portalContext(name)} parameter $`) : value;
    writer.byte(letter.charCodeAt(0)).cstring(told);
  }
  return writer.byte(0).end().take();
}

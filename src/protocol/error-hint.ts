import { readErrorFields } from './backend-messages.js';
import { Backend } from './codes.js';
import { Writer } from './writer.js';

/** An ErrorResponse message with this hint in place of its own. Answers a copy. */
export function withHint(error: Buffer, hint: string): Buffer {
  const writer = new Writer(error.length + hint.length + 8);
  writer.begin(Backend.errorResponse);
  for (const [name, value] of readErrorFields(error, 0, error.length)) {
    if (name !== 'H') writer.byte(name.charCodeAt(0)).cstring(value);
  }
  writer.byte('H'.charCodeAt(0)).cstring(hint);
  return writer.byte(0).end().take();
}

/** An ErrorResponse message that does not tell of the text around the one that failed. Answers a copy. */
export function withoutContext(error: Buffer): Buffer {
  const writer = new Writer(error.length).begin(Backend.errorResponse);
  for (const [name, value] of readErrorFields(error, 0, error.length)) {
    if (!'Wpq'.includes(name)) writer.byte(name.charCodeAt(0)).cstring(value);
  }
  return writer.byte(0).end().take();
}

import { unnamedText } from '../backend/postgres/prepared-text.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import type { CatalogRow } from '../backend/catalog-loader.js';
import { Ask, textRows, type Answered } from '../executor/ask.js';
import { NO_VALUES } from '../executor/bind-parts.js';
import { sequenceError } from '../executor/ids/ids.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import type { Session } from './session.js';

/**
 * Asks a backend of the open transaction, as a part of it: the rows of each text, values as text. The session is busy;
 * it goes on with the next message when its caller says so. Rejects with SqlError; never settles where the session
 * has ended.
 */
export function askBackend(
  session: Session,
  backend: BackendConnection,
  texts: readonly string[],
): Promise<readonly (readonly CatalogRow[])[]> {
  return new Promise((resolve, reject) => {
    askForRows(session, backend, texts, (answered) => {
      if (answered.ok) resolve(answered.results.map(textRows));
      else reject(sequenceError(readErrorFields(answered.error, 0, answered.error.length)));
    });
  });
}

/** The same for who wants the bytes of what the backend says. */
export function askForRows(
  session: Session,
  backend: BackendConnection,
  texts: readonly string[],
  onDone: (answered: Answered) => void,
): void {
  const ask = new Ask(backend, onDone);
  const pipelined = session.inPipeline;
  if (pipelined) session.touch([backend]);
  for (const text of texts) {
    backend.statements.runUnnamed(unnamedText(text, []), NO_VALUES, false);
  }
  session.operation = ask;
  session.busy = true;
  ask.start(!pipelined);
}

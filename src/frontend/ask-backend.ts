import { unnamedText } from '../backend/postgres/prepared-text.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import type { CatalogRow } from '../backend/catalog-loader.js';
import { Ask } from '../executor/ask.js';
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
    const ask = new Ask(backend, (answered) => {
      if (answered.ok) {
        const rowsOf = (rows: readonly (readonly (Buffer | null)[])[]): CatalogRow[] =>
          rows.map((row) => row.map((value) => value?.toString() ?? null));
        resolve(answered.results.map(rowsOf));
      } else reject(sequenceError(readErrorFields(answered.error, 0, answered.error.length)));
    });
    const pipelined = session.inPipeline;
    if (pipelined) session.touch([backend]);
    for (const text of texts) {
      backend.statements.runUnnamed(unnamedText(text, []), NO_VALUES, false);
    }
    session.operation = ask;
    session.busy = true;
    ask.start(!pipelined);
  });
}

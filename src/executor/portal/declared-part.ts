import type { BackendConnection } from '../../backend/postgres/connection.js';
import { unnamedText } from '../../backend/postgres/prepared-text.js';
import { quoteIdentifier } from '../../sql/quote.js';
import { PortalPart } from './portal-part.js';

/** A cursor of the client's own name on one backend, which takes all further statements about it as they stand. */
export class DeclaredPart extends PortalPart {
  private readonly head: string;

  constructor(
    backend: BackendConnection,
    cursor: { readonly name: string; readonly binary: boolean },
  ) {
    super(backend, 0, cursor.name);
    const binary = cursor.binary ? 'BINARY ' : '';
    this.head = `DECLARE ${quoteIdentifier(cursor.name)} ${binary}SCROLL CURSOR FOR `;
  }

  override bind(text: Uint8Array | string, types: readonly number[], rest: Buffer): void {
    const query = typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
    this.backend.statements.runUnnamed(unnamedText(this.head + query, types), rest, false);
  }
}

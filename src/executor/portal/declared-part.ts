import type { BackendConnection } from '../../backend/postgres/connection.js';
import { unnamedText } from '../../backend/postgres/prepared-text.js';
import { quoteIdentifier } from '../../sql/quote.js';
import type { CursorUse } from '../../planner/plan.js';
import { PortalPart } from './portal-part.js';

type CursorOptions = Pick<
  Extract<CursorUse, { readonly action: 'declare' }>,
  'name' | 'binary' | 'scroll' | 'hold'
>;

/** A cursor of the client's own name on one backend, which takes all further statements about it as they stand. */
export class DeclaredPart extends PortalPart {
  private readonly head: string;

  constructor(backend: BackendConnection, { name, binary, scroll, hold }: CursorOptions) {
    super(backend, 0, name);
    const words = ['DECLARE', quoteIdentifier(name)];
    if (binary) words.push('BINARY');
    if (scroll !== null) words.push(scroll === 'yes' ? 'SCROLL' : 'NO SCROLL');
    words.push(hold ? 'CURSOR WITH HOLD FOR ' : 'CURSOR FOR ');
    this.head = words.join(' ');
  }

  override bind(text: Uint8Array | string, types: readonly number[], rest: Buffer): void {
    const query = typeof text === 'string' ? text : Buffer.from(text).toString('utf8');
    this.backend.statements.runUnnamed(unnamedText(this.head + query, types), rest, false);
  }
}

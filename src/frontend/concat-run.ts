import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { NO_VALUES } from '../executor/bind-parts.js';
import { OpenParts } from '../executor/portal/open-parts.js';
import { PortalPart } from '../executor/portal/portal-part.js';
import { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { FanOutRun } from './fan-out-run.js';
import { startOperation, toldError, type Opened } from './statement-run.js';

/** A SELECT of which every shard runs the text as it stands; their rows come one after the other. */
export class ConcatRun extends FanOutRun {
  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onOpen: (opened: Opened) => void,
  ): void {
    const { session, request } = this;
    const { text, from, to, bind } = request;
    const prepared = unnamedText(text.subarray(from, to), paramTypes);
    const values = bind ?? NO_VALUES;
    const parts = backends.map((backend, position) => new PortalPart(backend, position));
    const open = new OpenParts(
      parts,
      (part) => {
        part.bind(prepared, values);
      },
      (error, description) => {
        if (error !== null) onOpen({ ok: false, error: toldError(request, error) });
        else onOpen({ ok: true, portal: new ScatterPortal(parts, null, description!) });
      },
    );
    startOperation(session, open);
  }
}

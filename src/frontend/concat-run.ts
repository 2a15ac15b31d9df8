import type { BackendConnection } from '../backend/postgres/connection.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { reformatRowDescription } from '../executor/merge-description.js';
import { OpenParts } from '../executor/portal/open-parts.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { readUint16 } from '../protocol/framing.js';
import { FanOutRun } from './fan-out-run.js';
import { startOperation, toldError, type Opened } from './statement-run.js';

/** A SELECT of which every shard runs the text as it stands; their rows come one after the other. */
export class ConcatRun extends FanOutRun {
  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    const { session, request } = this;
    const { text, from, to, bind } = request;
    const sql = text.subarray(from, to);
    const values = bind ?? NO_VALUES;
    const parts = backends.map(partOf);
    const open = new OpenParts(
      parts,
      (part) => {
        part.bind(sql, paramTypes, values);
      },
      (error, description) => {
        if (error !== null) {
          onOpen({ ok: false, error: toldError(request, error) });
          return;
        }
        const columns = readUint16(description!, 5);
        const formats = new BindParts(values).resultFormats(columns);
        const text = reformatRowDescription(description!, []);
        const options = { parts, merge: null, description: text, formats };
        onOpen({ ok: true, portal: new ScatterPortal(options) });
      },
    );
    startOperation(session, open);
  }
}

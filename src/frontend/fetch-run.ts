import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import { BindParts } from '../executor/bind-parts.js';
import { CloseParts } from '../executor/portal/close-parts.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { CursorUse } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import { startOperation, type RunRequest, type StatementRun } from './statement-run.js';

type Fetch = Extract<CursorUse, { readonly action: 'fetch' }>;

/** FETCH and MOVE of a cursor that is open on several shards. It goes forward only. */
export class FetchRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.scatter;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly cursor: Fetch;
  private readonly portal: ScatterPortal;

  constructor(session: Session, request: RunRequest, cursor: Fetch, portal: ScatterPortal) {
    this.session = session;
    this.request = request;
    this.cursor = cursor;
    this.portal = portal;
    this.shards = shardsOfParts(portal);
  }

  prepare(): 'ready' {
    return 'ready';
  }

  /** Throws SqlError 55000 where it would have to go backward, or cannot be run. */
  start(
    _backends: readonly BackendConnection[],
    _paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, request, cursor, portal } = this;
    const { move } = cursor;
    if (portal.failed) {
      const message = `portal "${cursor.name}" cannot be run`;
      throw sqlError('object_not_in_prerequisite_state', message);
    }
    const { skip, take } = stepsOf(cursor, portal);
    const formats = this.wantedFormats();
    // What is passed over has no format.
    if (!move) portal.use(formats);
    const { host = session } = request;
    const memory = session.context.config.limits.gatherMemoryBytes;
    const finish = (error: Buffer | null, rows: number): void => {
      const verb = move ? 'MOVE' : 'FETCH';
      onDone(error === null ? { ok: true, tag: `${verb} ${rows}` } : { ok: false, error });
    };
    const read = (): void => {
      if (request.describe && !move) {
        const description = portal.describe(formats);
        host.passToClient(null, description, 0, description.length);
      }
      const to = move ? null : host;
      startOperation(session, portal.rows({ rowsMax: take, host: to, onDone: finish }, memory));
    };
    if (move && cursor.count === 0 && portal.onRow && take === 0) {
      // To where it is already.
      startOperation(
        session,
        portal.rows({ rowsMax: 0, host: null, onDone: () => finish(null, 1) }, memory),
      );
    } else if (skip === 0) read();
    else {
      const onDone = (error: Buffer | null): void => {
        if (error === null) read();
        else finish(error, 0);
      };
      startOperation(session, portal.rows({ rowsMax: skip, host: null, onDone }, memory));
    }
  }

  private wantedFormats(): readonly number[] {
    const { bind } = this.request;
    const { columns, binary } = this.portal;
    if (bind !== null) return new BindParts(bind).resultFormats(columns);
    return Array.from({ length: columns }, () => (binary ? 1 : 0));
  }
}

/** CLOSE of such a cursor. */
export class CloseRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.scatter;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly portal: ScatterPortal;

  constructor(session: Session, portal: ScatterPortal) {
    this.session = session;
    this.portal = portal;
    this.shards = shardsOfParts(portal);
  }

  prepare(): 'ready' {
    return 'ready';
  }

  start(
    _backends: readonly BackendConnection[],
    _paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const close = new CloseParts(this.portal.parts, () => {
      onDone({ ok: true, tag: 'CLOSE CURSOR' });
    });
    startOperation(this.session, close);
  }
}

function shardsOfParts({ parts }: ScatterPortal): Shard[] {
  return parts.map(({ backend }) => backend.shard).sort(byIndex);
}

/**
 * How many rows are passed over, and how many taken then (PostgreSQL 18, pquery.c, DoPortalRunFetch). Throws SqlError
 * 55000 where that leads backward.
 */
function stepsOf(
  { direction, count, move }: Fetch,
  portal: ScatterPortal,
): { readonly skip: number; readonly take: number } {
  switch (direction) {
    case 'forward':
    case 'backward': {
      const ahead = direction === 'forward' ? count : -count;
      if (ahead > 0) return { skip: 0, take: ahead };
      if (ahead < 0 || (portal.onRow && !move)) throw onlyForward();
      return { skip: 0, take: 0 };
    }
    case 'relative':
      if (count > 0) return { skip: count - 1, take: 1 };
      if (count < 0 || (portal.onRow && !move)) throw onlyForward();
      return { skip: 0, take: 0 };
    case 'absolute': {
      const { position, atEnd } = portal;
      const atStart = position === 0 && !atEnd;
      if (count === 0 && atStart) return { skip: 0, take: 0 };
      const ahead = count - position - (atEnd ? 1 : 0);
      if (count <= 0 || ahead <= 0 || (!atStart && count - 1 <= Math.floor(position / 2))) {
        throw onlyForward();
      }
      return { skip: ahead - 1, take: 1 };
    }
  }
}

function onlyForward(): SqlError {
  return sqlError('object_not_in_prerequisite_state', 'cursor can only scan forward', {
    hint: 'Declare it with SCROLL option to enable backward scan.',
  });
}

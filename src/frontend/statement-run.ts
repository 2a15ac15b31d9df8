import type { BackendConnection } from '../backend/postgres/connection.js';
import type { ValuesOf } from '../executor/bind-parts.js';
import { DescribeTexts, type DescribedText } from '../executor/describe-texts.js';
import { movedPosition, withoutPosition } from '../protocol/error-position.js';
import type { ValueSource } from '../executor/shard-targets.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import type { Operation, OperationHost, Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import type { ShardPlan } from './shard-choice.js';
import { characterCount } from '../sql/code-points.js';

/** The values of one execution. */
export interface BoundValues {
  /** Whose literals the plan counts: mostly those of the text that runs, all of it. */
  readonly values: ValueSource;
  /** A Bind message from behind the statement's name; null: no parameters, results as text. */
  readonly bind: Buffer | null;
}

/** One execution of a statement that no single backend answers as it stands. */
export interface RunRequest extends BoundValues {
  readonly plan: ShardPlan;
  /** Holds the statement's own bytes at `[from, to)`. */
  readonly text: Buffer;
  readonly from: number;
  readonly to: number;
  /** `BindParts.withLastValues` of each shard's Bind; what reads none of them goes with `bind` itself. */
  readonly valuesOf?: ValuesOf;
  /** The client is owed a RowDescription where there are rows. */
  readonly describe: boolean;
  /** Who gets the rows; absent: the client. */
  readonly host?: OperationHost;
  /** End each shard's part with Sync at once (a simple query outside a transaction that only reads). */
  readonly endsWithSync: boolean;
}

/**
 * How it runs. The session leases backends for `shards`, calls `prepare` until that is ready, and
 * then `start`; all of it again from the lease where something must be waited for.
 */
export interface StatementRun {
  /** In the order of their index. */
  readonly shards: readonly Shard[];
  readonly route: RouteKind;
  /**
   * Where it may write, if the plan writes at all; it tells the session where it does. Absent: on all
   * of its shards.
   */
  readonly writers?: readonly Shard[];
  /** The shard that alone makes all of its result. Absent: several do, or it is not known before. */
  readonly home?: Shard;
  /** It makes a cursor, of which it tells the session itself. */
  readonly declares?: true;
  /** Its backends are left without Sync whatever the request says; so their transaction must be ended. */
  readonly leavesOpen?: true;
  /** The type of every parameter must be given, since not every text that is made shows them. */
  readonly needsTypes: boolean;
  /**
   * Learns what it must know before it starts. 'wait': the session comes back, unless `onFailed` has
   * been called meanwhile. Another run: that one goes on in its place.
   */
  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun;
  /** Makes itself the session's operation. `onDone` is never called before this returns. */
  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void;
  /**
   * Leaves its rows in a portal, of which they are asked for piece by piece, in place of `start`. Absent: it must run
   * to its end at once.
   * @param partOf makes a backend's part
   */
  open?(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void;
}

/** A portal, or the ErrorResponse. */
export type Opened =
  | { readonly ok: true; readonly portal: ScatterPortal }
  | { readonly ok: false; readonly error: Buffer };

/** Makes an operation the session's and starts it. */
export function startOperation(session: Session, operation: Operation & { start(): void }): void {
  session.operation = operation;
  session.busy = true;
  session.flushLocal();
  operation.start();
}

/**
 * Asks a backend for the result columns of the client's statement and of texts that were made for it; the session
 * comes back to `prepare` afterwards.
 * @param learn gets them, the client's statement first
 */
export function describeFor(
  session: Session,
  request: RunRequest,
  backend: BackendConnection,
  made: readonly string[],
  paramTypes: readonly number[],
  onFailed: (error: Buffer) => void,
  learn: (texts: readonly DescribedText[]) => void,
): void {
  const own = request.text.subarray(request.from, request.to);
  session.busy = true;
  session.operation = DescribeTexts.of(backend, [own, ...made], paramTypes, (described) => {
    if (described.ok) learn(described.texts);
    else {
      const { error, text } = described;
      onFailed(text === 0 ? toldError(request, error) : withoutPosition(error, 0, error.length));
    }
    session.resumeSoon();
  });
  backend.flush();
}

/** An error of the statement's own text, told as of the text that it stands in. */
export function toldError({ text, from }: RunRequest, error: Buffer): Buffer {
  return from === 0 ? error : movedPosition(error, characterCount(text, 0, from));
}

import type { BackendConnection } from '../backend/postgres/connection.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import type { SourceQuery } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import { withSourceText } from './source-values.js';
import type { StatementRun } from './statement-run.js';

type OwnText = Pick<SourceQuery, 'sql' | 'literals'>;

/**
 * The run of a statement whose plan counts the literals of a text of its own, which is not all of the client's: key
 * values are read there whenever it looks for shards, also behind a wait.
 */
export function ownTextRun(
  session: Session,
  text: OwnText,
  make: () => StatementRun,
): StatementRun {
  return new OwnTextRun(session, text, withSourceText(session, text, make));
}

class OwnTextRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route: RouteKind;
  readonly needsTypes: boolean;
  readonly writers?: readonly Shard[];
  readonly home?: Shard;
  readonly declares?: true;
  readonly leavesOpen?: true;
  readonly open?: NonNullable<StatementRun['open']>;
  private readonly session: Session;
  private readonly text: OwnText;
  private readonly inner: StatementRun;

  constructor(session: Session, text: OwnText, inner: StatementRun) {
    this.session = session;
    this.text = text;
    this.inner = inner;
    this.shards = inner.shards;
    this.route = inner.route;
    this.needsTypes = inner.needsTypes;
    if (inner.writers !== undefined) this.writers = inner.writers;
    if (inner.home !== undefined) this.home = inner.home;
    if (inner.declares === true) this.declares = true;
    if (inner.leavesOpen === true) this.leavesOpen = true;
    if (inner.open !== undefined) {
      this.open = (...given) => withSourceText(session, text, () => inner.open!(...given));
    }
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, text, inner } = this;
    const prepared = withSourceText(session, text, () =>
      inner.prepare(backends, paramTypes, onFailed),
    );
    return typeof prepared === 'string' ? prepared : new OwnTextRun(session, text, prepared);
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    withSourceText(this.session, this.text, () => {
      this.inner.start(backends, paramTypes, onDone);
    });
  }
}

import { sqlError } from '../errors/sql-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import type { PreparedText } from '../backend/postgres/prepared-text.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import type { StoredRows } from '../executor/portal/stored-rows.js';
import type { Shard } from '../keyspace/topology.js';
import type { FillSlot, Plan, PlannedText } from '../planner/plan.js';
import type { Literals } from '../sql/literals.js';

/** A statement that a client prepared, by Parse. */
export interface ClientStatement {
  /** Empty: the unnamed statement. */
  readonly name: string;
  readonly text: Buffer;
  readonly paramTypes: readonly number[];
  /** Planned again when the schema, topology or search path changes. */
  planned: PlannedText;
  /** Names meant what they meant under this when it was planned. */
  searchPathKey: string;
  /** `SessionPlanning.meaningKey` of `prepared`. */
  meaningKey: string;
  /** The same of the time when it was prepared. */
  readonly readUnder: string;
  /** The literals of `text`. */
  literals: Literals;
  prepared: PreparedText;
  /** Whoever prepares the same text shares `prepared`. */
  readonly isShared: boolean;
  /** The schema has changed since clients were told its columns: they may be others now. */
  inDoubt: boolean;
  /** All parameter types as a shard inferred them; known once they were needed. */
  inferredTypes: readonly number[] | null;
  /** When it was prepared, as milliseconds since 1970, if it has a name; else 0. */
  preparedAt: number;
  /** The text that has prepared it by SQL PREPARE; null: Parse has. */
  readonly source: string | null;
  /** The text lacks values that the proxy makes: the one that runs in its place. */
  filled: FilledStatement | null;
}

/** A client's statement with further parameters behind its own, for values that the proxy makes. */
export interface FilledStatement {
  readonly statement: ClientStatement;
  readonly slots: readonly FillSlot[];
  readonly verb: string;
}

/** The statement that Bind and Execute are about. */
export function runnable(statement: ClientStatement): ClientStatement {
  return statement.filled?.statement ?? statement;
}

/** Throws SqlError 08P01 where Bind brings another number of values. */
export function assertValueCount(statement: ClientStatement, count: number): void {
  const expected = Math.max(statement.planned.paramCount, statement.paramTypes.length);
  if (count === expected) return;
  throw sqlError(
    'protocol_violation',
    `bind message supplies ${count} parameters, but prepared statement ` +
      `"${statement.name}" requires ${expected}`,
  );
}

/** A statement with its values bound. */
export interface Portal {
  readonly name: string;
  /** Null: an SQL cursor. */
  readonly statement: ClientStatement | null;
  plan: Plan;
  /** The backend that holds the real portal; null: the session runs the plan itself at Execute. */
  readonly backend: BackendConnection | null;
  /** For a portal of several shards: where it runs, and the Bind message to repeat there. */
  shards: readonly Shard[];
  readonly bind: Buffer | null;
  /** When it was made, as milliseconds since 1970, if it has a name; else 0. */
  readonly madeAt: number;
  /** How many savepoints were open when it was made, where that matters: a rollback to one of them ends it. */
  depth: number;
  /** The transaction had failed before it was made: what ends that may be executed. */
  readonly behindFailure: boolean;
  /** A cursor WITH HOLD, whose transaction is open or has ended. */
  hold: 'no' | 'open' | 'kept';
  /** `UnitOfWork.writes` when it was bound, for one that the session runs on shards. */
  readonly writesBefore: number;
  /** What has become of a portal that the session runs itself; null: nothing yet. */
  result: PortalResult | null;
}

export type PortalResult =
  /** Its Execute fails with this, which the proxy has found out when it was bound. */
  | { readonly kind: 'failed'; readonly error: Buffer }
  /** It ran to its end, with this tag; null: it cannot be run again. */
  | { readonly kind: 'over'; readonly tag: string | null }
  /** Its rows are taken from the shards piece by piece. */
  | { readonly kind: 'open'; readonly portal: ScatterPortal }
  /** It ran to its end; its rows are handed out piece by piece. */
  | { readonly kind: 'stored'; readonly rows: StoredRows; readonly tag: string };

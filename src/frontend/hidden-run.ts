import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import { textRows } from '../executor/ask.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import { RESERVED_SCHEMA } from '../planner/reserved-schema.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from '../transaction/operation.js';
import { askForRows } from './ask-backend.js';
import type { Session } from './session.js';
import { lossOf } from './source-reader.js';
import type { StatementRun } from './statement-run.js';

/**
 * A statement that runs code of which nobody knows what it touches, on the catalog shard. Whatever a transaction has
 * used of tables it holds a lock on: so the server tells it, before the client hears of the statement's end. It has
 * failed where that was the empty shell of a table whose rows are elsewhere.
 */
export class HiddenRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly writers?: readonly Shard[];
  readonly route: RouteKind;
  readonly needsTypes: boolean;
  readonly leavesOpen = true;
  private readonly session: Session;
  private readonly inner: StatementRun;
  /** The code: `function "add_job"`. */
  private readonly subject: string;

  constructor(session: Session, inner: StatementRun, subject: string) {
    this.session = session;
    this.inner = inner;
    this.subject = subject;
    this.shards = inner.shards;
    if (inner.writers !== undefined) this.writers = inner.writers;
    this.route = inner.route;
    this.needsTypes = inner.needsTypes;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const prepared = this.inner.prepare(backends, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    return new HiddenRun(this.session, prepared, this.subject);
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    this.inner.start(backends, paramTypes, (outcome) => {
      const over = outcome.ok ? lossOf(backends) : outcome;
      if (over !== null) {
        onDone(over);
        return;
      }
      askForRows(this.session, backends[0]!, [TOUCHED], (answered) => {
        if (!answered.ok) {
          onDone(answered);
          return;
        }
        const problem = this.problemOf(textRows(answered.results[0]!));
        onDone(problem === null ? outcome : { ok: false, error: errorBytes(problem) });
      });
    });
  }

  private problemOf(tables: readonly (readonly (string | null)[])[]): SqlError | null {
    const { session } = this;
    const { tables: configured, defaultKeyspace, catalogShard } = session.context.config.topology;
    for (const [schema, name, changed] of tables) {
      // Tables are made, or changed, on this server alone.
      if (changed === 't') session.catalogStale = true;
      const table = configured.get(`${schema!}.${name!}`);
      const keyspace = table?.keyspace ?? defaultKeyspace;
      if (keyspace?.shards[0] === catalogShard && !keyspace.sharded) continue;
      const where = keyspace === null ? 'of no keyspace' : `of keyspace "${keyspace.name}"`;
      return sqlError(
        'feature_not_supported',
        `${this.subject} is not supported: it uses table "${name!}" ${where}`,
        { hint: 'Run its statements one by one, so that each can be routed.' },
      );
    }
    return null;
  }
}

/**
 * The tables that the transaction has locked (partitions by the table that they are parts of), and whether so that
 * nobody else may read them, as what defines tables does.
 */
const TOUCHED = `SELECT n.nspname, c.relname, pg_catalog.bool_or(l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock')
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) l.relation
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=)
    coalesce(pg_catalog.pg_partition_root(t.oid)::pg_catalog.oid, t.oid)
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    AND l.locktype OPERATOR(pg_catalog.=) 'relation'
    AND l.database OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_database
      WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
    AND t.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}')
    AND n.nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{information_schema,${RESERVED_SCHEMA}}')
  GROUP BY 1, 2`;

import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { SqlStateName } from '../errors/sqlstates.js';

/** Why a backend could not be had or kept; `fields` are Postgres's own error fields where it sent some. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly shard: string;
  readonly state: SqlStateName;
  readonly fields: ReadonlyMap<string, string> | null;

  constructor(
    shard: string,
    state: SqlStateName,
    message: string,
    fields: ReadonlyMap<string, string> | null = null,
  ) {
    super(message);
    this.shard = shard;
    this.state = state;
    this.fields = fields;
  }

  /** A server that says why it ends the connection. */
  static fromServer(shard: string, fields: ReadonlyMap<string, string>): BackendError {
    const message = fields.get('M') ?? 'the server closed the connection';
    return new BackendError(shard, 'connection_failure', message, fields);
  }

  /** A connection that was there, and that something was open on. */
  static lost(shard: string): BackendError {
    return new BackendError(shard, 'connection_failure', 'the connection was lost');
  }

  /** A server that does not follow the protocol. */
  static violation(shard: string, what: string): BackendError {
    return new BackendError(shard, 'connection_failure', `protocol violation: ${what}`);
  }

  /** As a client is told: which shard, what happened, what to do. */
  toSqlError(): SqlError {
    return sqlError(this.state, `shard "${this.shard}": ${this.message}`, {
      detail: this.fields?.get('D'),
      hint: this.fields?.get('H') ?? HINTS[this.state],
    });
  }
}

const HINTS: Partial<Record<SqlStateName, string>> = {
  sqlclient_unable_to_establish:
    'The shard is down or refuses logins; try again, or look at /readyz.',
  connection_failure:
    'The statement may or may not have been executed; check before repeating a write.',
  insufficient_resources: 'Raise pool.size or pool.queue_timeout, or shorten transactions.',
};

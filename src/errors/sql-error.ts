import { sqlstates, type SqlStateName } from './sqlstates.js';

export interface SqlErrorFields {
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** 1-based character position in the statement, where one is known. */
  readonly position?: number | undefined;
  /** What the server was about, as in `unnamed portal parameter $1`. */
  readonly where?: string | undefined;
  /** The server's function that says this. Only where drivers tell by it what they do next. */
  readonly routine?: string | undefined;
  /** FATAL: the session ends behind it. */
  readonly severity?: 'ERROR' | 'FATAL' | undefined;
}

/** An error that a client is answered with. Made only by `sqlError`, so that its SQLSTATE stands in the table. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly state: SqlStateName;
  readonly code: string;
  readonly severity: 'ERROR' | 'FATAL';
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly position: number | undefined;
  readonly where: string | undefined;
  readonly routine: string | undefined;

  constructor(state: SqlStateName, message: string, fields: SqlErrorFields) {
    super(message);
    this.state = state;
    this.code = sqlstates[state].code;
    this.severity = fields.severity ?? 'ERROR';
    this.detail = fields.detail;
    this.hint = fields.hint;
    this.position = fields.position;
    this.where = fields.where;
    this.routine = fields.routine;
  }
}

export function sqlError(
  state: SqlStateName,
  message: string,
  fields: SqlErrorFields = {},
): SqlError {
  return new SqlError(state, message, fields);
}

import { sqlError } from '../errors/sql-error.js';
import type { ClientStatement } from './client-statement.js';

/** The statements that one client has prepared. */
export class ClientStatements {
  private readonly byName = new Map<string, ClientStatement>();
  private unnamed: ClientStatement | null = null;
  private readonly max: () => number;

  /** `max`: named statements a client may hold, read at each Parse. */
  constructor(max: () => number) {
    this.max = max;
  }

  /** Throws SqlError 42P05 where the name is taken. */
  assertFree(name: string): void {
    if (name !== '' && this.byName.has(name)) {
      throw sqlError('duplicate_prepared_statement', `prepared statement "${name}" already exists`);
    }
  }

  add(statement: ClientStatement): void {
    if (statement.name === '') {
      this.unnamed = statement;
      return;
    }
    const max = this.max();
    if (this.byName.size >= max) {
      throw sqlError(
        'program_limit_exceeded',
        `more than ${max} prepared statements in one session`,
        { hint: 'Close statements that are no longer used, or raise limits.prepared_statements.' },
      );
    }
    this.byName.set(statement.name, statement);
  }

  /** Throws SqlError 26000 where there is none. */
  named(name: string): ClientStatement {
    const statement = name === '' ? this.unnamed : this.byName.get(name);
    if (statement !== null && statement !== undefined) return statement;
    throw missing(name);
  }

  /** Close: a name that does not exist is fine. */
  close(name: string): void {
    if (name === '') this.unnamed = null;
    else this.byName.delete(name);
  }

  /** SQL DEALLOCATE; null: all. Throws SqlError 26000 where the name does not exist. */
  deallocate(name: string | null): void {
    if (name === null) this.byName.clear();
    else if (!this.byName.delete(name)) throw missing(name);
  }
}

function missing(name: string): Error {
  const text =
    name === ''
      ? 'unnamed prepared statement does not exist'
      : `prepared statement "${name}" does not exist`;
  return sqlError('invalid_sql_statement_name', text);
}

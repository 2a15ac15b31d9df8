import { sqlError } from '../errors/sql-error.js';
import { equalBytes } from '../protocol/framing.js';
import { storedName } from '../protocol/stored-name.js';
import type { ClientStatement } from './client-statement.js';
import { isJudgedByShard } from './shard-choice.js';
import { onlyPlan } from './parse-queue.js';

/** The statements that one client has prepared. */
export class ClientStatements {
  /** By what a server would know them by. */
  private readonly byName = new Map<string, ClientStatement>();
  private unnamed: ClientStatement | null = null;
  /** The name of each Parse and Close of the pipeline that is open or was the last; null: Close of a portal. */
  private readonly changes: (string | null)[] = [];
  /** What had that name before. */
  private readonly before: (ClientStatement | null)[] = [];
  /** About what these two hold. */
  private changeBytes = 0;
  /** The unnamed statement in front of the Parse that is being handled. */
  private replaced: ClientStatement | null = null;
  /** Parsed in a pipeline that lost its shard: whether the server would know them is not known. */
  private readonly doubtful = new Set<ClientStatement>();
  private readonly max: () => number;

  /** `max`: named statements a client may hold, read at each Parse. */
  constructor(max: () => number) {
    this.max = max;
  }

  /** How many have a name. */
  get count(): number {
    return this.byName.size;
  }

  /** Throws SqlError 42P05 where the name is taken. */
  assertFree(name: string): void {
    const known = name === '' ? undefined : this.byName.get(storedName(name));
    if (known !== undefined && !this.doubtful.has(known)) {
      throw sqlError('duplicate_prepared_statement', `prepared statement "${name}" already exists`);
    }
  }

  /**
   * The statement without a name, where this Parse message gives it the text and types that it has: many drivers parse
   * the same text again and again.
   */
  unnamedAgain(buffer: Buffer, start: number, end: number): ClientStatement | null {
    const { unnamed } = this;
    if (unnamed === null || buffer[start + 5] !== 0 || unnamed.filled !== null) return null;
    return equalBytes(unnamed.prepared.parseRest, buffer, start + 6, end) ? unnamed : null;
  }

  /** The unnamed statement goes, whatever becomes of the Parse that is being handled. */
  replaceUnnamed(): void {
    this.replaced ??= this.unnamed;
    this.unnamed = null;
  }

  add(statement: ClientStatement): void {
    const { name } = statement;
    if (name === '') {
      this.note('', this.replaced ?? this.unnamed);
      this.replaced = null;
      this.unnamed = statement;
      return;
    }
    const before = this.byName.get(storedName(name)) ?? null;
    this.keep(statement);
    this.note(name, before);
  }

  private note(name: string | null, before: ClientStatement | null): void {
    this.changes.push(name);
    this.before.push(before);
    this.changeBytes += bytesOf(before);
    // A pipeline may have no end: what is long past has been answered.
    while (this.changeBytes > CHANGE_BYTES_MAX && this.changes.length > 1) this.forgetOlderHalf();
  }

  private forgetOlderHalf(): void {
    const { changes, before } = this;
    const half = changes.length >> 1;
    changes.splice(0, half);
    for (const statement of before.splice(0, half)) this.changeBytes -= bytesOf(statement);
  }

  /** SQL PREPARE: a server has accepted it, whatever becomes of what follows. Throws SqlError 42P05. */
  addLasting(statement: ClientStatement): void {
    this.assertFree(statement.name);
    this.keep(statement);
  }

  private keep(statement: ClientStatement): void {
    const max = this.max();
    if (this.byName.size >= max) {
      throw sqlError(
        'program_limit_exceeded',
        `more than ${max} prepared statements in one session`,
        { hint: 'Close statements that are no longer used, or raise limits.prepared_statements.' },
      );
    }
    const name = storedName(statement.name);
    const before = this.byName.get(name);
    if (before !== undefined) this.doubtful.delete(before);
    this.byName.set(name, statement);
    statement.preparedAt = Date.now();
  }

  /** Those that have a name; null: a pipeline has failed, and so it is not known which there are. */
  get known(): readonly ClientStatement[] | null {
    return this.doubtful.size > 0 ? null : [...this.byName.values()];
  }

  /** A new pipeline begins, so the statements of the one before are what they are. */
  trust(): void {
    const { changes, before } = this;
    this.replaced = null;
    while (changes.length > 0) {
      changes.pop();
      before.pop();
    }
    this.changeBytes = 0;
  }

  /**
   * The pipeline has failed, and a server would have skipped its last Parse and Close messages.
   * @param skipped how many
   * @param refused the first of them is the Parse that has failed
   */
  undo(skipped: number, refused: boolean): void {
    const { changes, before } = this;
    if (this.replaced !== null) this.unnamed = this.replaced;
    this.replaced = null;
    for (let left = Math.min(skipped, changes.length); left > 0; left--) {
      const name = changes.pop()!;
      const statement = before.pop()!;
      this.changeBytes -= bytesOf(statement);
      if (name === null) continue;
      if (name === '') this.unnamed = refused && left === 1 ? null : statement;
      else if (statement === null) this.remove(name);
      else this.byName.set(storedName(name), statement);
    }
  }

  /**
   * The pipeline has lost its shard. What no server has accepted does not exist; the rest may be prepared again under
   * its name, since the server may have skipped it.
   */
  doubt(): void {
    const { unnamed, byName, changes } = this;
    if (unnamed !== null && mayBeRefused(unnamed)) this.unnamed = null;
    for (const name of changes) {
      const statement = name === null ? undefined : byName.get(storedName(name));
      if (statement === undefined) continue;
      if (mayBeRefused(statement)) this.remove(statement.name);
      else this.doubtful.add(statement);
    }
    this.trust();
  }

  has(name: string): boolean {
    return name === '' ? this.unnamed !== null : this.byName.has(storedName(name));
  }

  /** Throws SqlError 26000 where there is none. */
  named(name: string): ClientStatement {
    const statement = name === '' ? this.unnamed : this.byName.get(storedName(name));
    if (statement !== null && statement !== undefined) return statement;
    throw missing(name);
  }

  /** Close: a name that does not exist is fine. */
  close(name: string): void {
    if (name === '') {
      this.note('', this.unnamed);
      this.unnamed = null;
    } else {
      this.note(name, this.byName.get(storedName(name)) ?? null);
      this.remove(name);
    }
  }

  /** Close of a portal, which is answered among the others. */
  noteClosedPortal(): void {
    this.note(null, null);
  }

  /** A simple query has come. */
  dropUnnamed(): void {
    this.unnamed = null;
  }

  /** SQL DEALLOCATE; null: all. Throws SqlError 26000 where the name does not exist. */
  deallocate(name: string | null): void {
    if (name !== null) {
      if (!this.remove(name)) throw missing(name);
      return;
    }
    this.byName.clear();
    this.doubtful.clear();
  }

  private remove(name: string): boolean {
    const stored = storedName(name);
    const statement = this.byName.get(stored);
    if (statement === undefined) return false;
    this.doubtful.delete(statement);
    return this.byName.delete(stored);
  }
}

const CHANGE_BYTES_MAX = 1024 * 1024;

/** What a change holds of a statement's memory; null: there was none. */
function bytesOf(before: ClientStatement | null): number {
  return before === null ? 64 : 1024 + before.prepared.parseRest.length;
}

/** No server has ever accepted its text. */
function mayBeRefused({ prepared, planned }: ClientStatement): boolean {
  return !prepared.validated && isJudgedByShard(onlyPlan(planned));
}

function missing(name: string): Error {
  const text =
    name === ''
      ? 'unnamed prepared statement does not exist'
      : `prepared statement "${name}" does not exist`;
  return sqlError('invalid_sql_statement_name', text);
}

import { readParameterStatus, writeParameterStatus } from '../protocol/backend-messages.js';
import type { Writer } from '../protocol/writer.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';

type Values = ReadonlyMap<string, string>;

/**
 * What the client knows of its server's parameters (ParameterStatus). As in PostgreSQL it hears of a change in front of
 * the next ReadyForQuery, and only of one that is still there: what is changed and taken back between is never told.
 */
export class ToldParameters {
  private readonly work: UnitOfWork;
  /** What it was told at its login. */
  private readonly atLogin: () => Values;
  /** What it has been told otherwise since. */
  private told: Values = NONE;
  /** What is to be told, if it is another value by then. */
  private due: Values = NONE;
  private atBegin: Values = NONE;

  constructor(work: UnitOfWork, atLogin: () => Values) {
    this.work = work;
    this.atLogin = atLogin;
  }

  /** Some backend says that a parameter has a value now. */
  note(name: string, value: string): void {
    this.due = new Map([...this.due, [name, value]]);
  }

  /** The same by a ParameterStatus message. What does not know of a failure may still tell what that has taken back. */
  read(buffer: Buffer, start: number, end: number): void {
    if (this.work.failed) return;
    const status = readParameterStatus(buffer, start, end);
    if (status !== null) this.note(status.name, status.value);
  }

  /** Whether a ParameterStatus that passes to the client says something new to it. */
  passes(name: string, value: string): boolean {
    if (this.due.has(name)) this.due = without(this.due, name);
    if (this.toldOf(name) === value) return false;
    this.told = new Map([...this.told, [name, value]]);
    return true;
  }

  get isDue(): boolean {
    return this.due.size > 0;
  }

  /** Writes the messages that are due. */
  tell(to: Writer): void {
    if (this.due.size === 0) return;
    const changed = [...this.due].filter(([name, value]) => this.toldOf(name) !== value);
    this.due = NONE;
    if (changed.length === 0) return;
    this.told = new Map([...this.told, ...changed]);
    for (const [name, value] of changed) writeParameterStatus(to, name, value);
  }

  /** The values as of now, for `restore`. */
  get current(): Values {
    return this.due.size === 0 ? this.told : new Map([...this.told, ...this.due]);
  }

  /** The values are what they were. */
  restore(before: Values): void {
    for (const name of this.current.keys()) {
      this.note(name, before.get(name) ?? this.atLogin().get(name) ?? '');
    }
  }

  /** A transaction begins. */
  begin(): void {
    this.atBegin = this.current;
  }

  /** They are what they were when it began. */
  rollBack(): void {
    this.restore(this.atBegin);
  }

  /** The transaction fails, if there is one: as a server it takes back at once what it has changed. */
  fail(): void {
    const { explicit, failed, innermostSavepoint } = this.work;
    if (explicit && !failed) this.restore(innermostSavepoint?.told ?? this.atBegin);
  }

  /** They are what they were at the login. */
  reset(): void {
    for (const [name, value] of this.atLogin()) this.note(name, value);
  }

  private toldOf(name: string): string | undefined {
    return this.told.get(name) ?? this.atLogin().get(name);
  }
}

function without(values: Values, name: string): Values {
  return new Map([...values].filter(([other]) => other !== name));
}

const NONE: Values = new Map();

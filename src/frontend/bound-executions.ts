import { SqlError } from '../errors/sql-error.js';
import type { ExecuteCommand } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { runnable, type ClientStatement } from './client-statement.js';
import type { ExtendedQuery } from './extended-query.js';
import { onlyPlan, type ParseQueue } from './parse-queue.js';
import type { Session } from './session.js';
import { bindMessage, bindRest, type Execution, type Lend } from './sql-statements.js';

/**
 * SQL EXECUTE by the extended protocol, as a Bind of the statement that it names; and Binds of which the proxy knows
 * that they fail. A server finds that out when the portal is executed, so the portal is made, and told then.
 */
export class BoundExecutions {
  private readonly session: Session;
  private readonly extended: ExtendedQuery;
  private readonly parses: ParseQueue;
  private readonly lend: Lend = (shard) => this.parses.lend(shard);

  constructor(session: Session, extended: ExtendedQuery, parses: ParseQueue) {
    this.session = session;
    this.extended = extended;
    this.parses = parses;
  }

  /** What is bound for an EXECUTE; true: a portal that fails is; false: wait. Throws SqlError. */
  bind(
    command: ExecuteCommand,
    portal: string,
    formats: Buffer,
  ): { readonly statement: ClientStatement; readonly message: Buffer } | boolean {
    const { sqlStatements } = this.extended;
    const execution = caught(() => sqlStatements.resolve(command, this.lend));
    if (execution === null) return false;
    if (!isError(execution)) {
      const { statement, values } = execution;
      return { statement, message: bindMessage(portal, values, formats) };
    }
    if (!sqlStatements.isKnown(command)) return this.fail(execution);
    const unbound = this.unbound(command);
    if (typeof unbound === 'boolean') return unbound;
    const { statement, values } = unbound;
    return this.addFailing(portal, statement, bindRest(values, formats), execution);
  }

  /** What describes an EXECUTE; true: the client has been told of an error; false: wait. Throws SqlError. */
  unbound(command: ExecuteCommand): Execution | boolean {
    const unbound = this.extended.sqlStatements.unbound(command, this.lend);
    if (unbound === null) return false;
    return isError(unbound) ? this.fail(unbound) : unbound;
  }

  /**
   * A portal whose Execute fails with `error`; false: wait. Throws SqlError 42P03 where its name is taken.
   * @param rest values and formats of its Bind message, which a shard judges
   */
  addFailing(
    portal: string,
    statement: ClientStatement,
    rest: Buffer,
    error: SqlError | Buffer,
  ): boolean {
    const { parses, session } = this;
    const { portals } = this.extended;
    this.extended.enter();
    if (!parses.answer()) return false;
    const plan = onlyPlan(runnable(statement).planned);
    const told = error instanceof SqlError ? errorBytes(error) : error;
    portals.addFailing(portal, statement, plan, rest, session.work, told);
    parses.addBound(portals.named(portal));
    return true;
  }

  private fail(error: SqlError | Buffer): true {
    if (error instanceof SqlError) throw error;
    this.extended.fail(error);
    return true;
  }
}

/** What is asked for, or the SqlError that it throws. */
export function caught<T>(ask: () => T): T | SqlError {
  try {
    return ask();
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
}

function isError<T extends object>(of: T | SqlError | Buffer): of is SqlError | Buffer {
  return of instanceof SqlError || Buffer.isBuffer(of);
}

import type { KnownText } from '../backend/postgres/prepared-text.js';
import { sqlError } from '../errors/sql-error.js';
import type { PlannedText } from '../planner/plan.js';
import type { ParseMessage } from '../protocol/frontend-messages.js';
import { Literals } from '../sql/literals.js';
import type { ClientStatement } from './client-statement.js';
import { refusalError } from './shard-choice.js';
import { onlyPlan } from './parse-queue.js';
import type { Session } from './session.js';

/** Makes statements of Parse messages, and plans them again when that is due. */
export class StatementFactory {
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /**
   * `end`: behind the message. Null: wait. Throws SqlError where the text is no statement, or is refused.
   * @param literals filled with those of the text
   */
  make(
    buffer: Buffer,
    message: ParseMessage,
    end: number,
    literals: Literals,
  ): ClientStatement | null {
    const { name, textStart, textEnd, paramTypes } = message;
    const { session } = this;
    const planned = session.planning.plan(buffer, textStart, textEnd, paramTypes, literals);
    if (planned === null) return null;
    if (planned.statements.length > 1) {
      throw sqlError('syntax_error', 'cannot insert multiple commands into a prepared statement');
    }
    const plan = onlyPlan(planned);
    session.control.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') {
      if (session.planning.seesFreshCatalog(plan.refusal)) return null;
      throw refusalError(plan.refusal);
    }
    const unique = literals.count === 0;
    const known = this.knownText(planned, unique, buffer, textStart, textEnd, end);
    return {
      name,
      text: known.text,
      paramTypes,
      planned,
      searchPathKey: session.planning.searchPathKey,
      literals: unique ? NO_LITERALS : literals.copy(),
      prepared: known.prepared,
      inferredTypes: null,
    };
  }

  /** Plans again what was planned under another schema, topology or search path; false: wait. */
  refresh(statement: ClientStatement): boolean {
    const { session } = this;
    const { planner } = session.context;
    const { planned } = statement;
    const { searchPathKey } = session.planning;
    if (
      statement.searchPathKey === searchPathKey &&
      planned.catalogVersion === planner.catalogVersion &&
      planned.topologyVersion === planner.topologyVersion
    ) {
      return true;
    }
    const { text, paramTypes, literals } = statement;
    const again = session.planning.plan(text, 0, text.length, paramTypes, literals);
    if (again === null) return false;
    statement.planned = again;
    statement.searchPathKey = searchPathKey;
    return true;
  }

  /** A plan without literals is that of one text only, which is copied once. */
  private knownText(
    planned: PlannedText,
    unique: boolean,
    buffer: Buffer,
    textStart: number,
    textEnd: number,
    end: number,
  ): KnownText {
    const { session } = this;
    const { texts } = session.context;
    const known = unique ? texts.ofPlan.get(planned) : undefined;
    if (known !== undefined) return known;
    const context = `${planned.catalogVersion}\0${session.planning.searchPathKey}`;
    const made: KnownText = {
      text: Buffer.from(buffer.subarray(textStart, textEnd)),
      prepared: texts.intern(buffer.subarray(textStart, end), context),
    };
    if (unique) texts.ofPlan.set(planned, made);
    return made;
  }
}

const NO_LITERALS = new Literals();

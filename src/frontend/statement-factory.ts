import {
  unnamedText,
  type KnownText,
  type PreparedText,
} from '../backend/postgres/prepared-text.js';
import { sqlError } from '../errors/sql-error.js';
import { fillText, slotsOf } from '../executor/fill-text.js';
import { PARAMETERS_MAX, tooManyParameters } from '../executor/parameter-room.js';
import type { Plan, PlannedText } from '../planner/plan.js';
import { readParse, type ParseMessage } from '../protocol/frontend-messages.js';
import { tooComplex } from '../sql/parse-errors.js';
import { WORKER_TEXT_BYTES_MAX } from '../sql/parse-limits.js';
import { LiteralKind, Literals } from '../sql/literals.js';
import { runnable, type ClientStatement } from './client-statement.js';
import type { ClientStatements } from './client-statements.js';
import { assertSameMeaning } from './read-settings.js';
import { refusalError } from './shard-choice.js';
import { onlyPlan } from './parse-queue.js';
import type { Session } from './session.js';

/** Makes statements of Parse messages, and plans them again when that is due. */
export class StatementFactory {
  private readonly session: Session;
  /** Made, but its filled text is still being planned. */
  private unfilled: ClientStatement | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /** The statement of a Parse message; null: wait. Throws SqlError as `make` does, 42P05 where the name is taken. */
  parse(
    statements: ClientStatements,
    buffer: Buffer,
    start: number,
    end: number,
  ): ClientStatement | null {
    const { control, literals, work } = this.session;
    const again = statements.unnamedAgain(buffer, start, end);
    if (again?.isShared === true && this.isCurrent(again) && this.readsAlike(again)) {
      if (work.failed) {
        statements.replaceUnnamed();
        control.refuseWhereFailed(onlyPlan(again.planned));
      }
      return again;
    }
    // Whatever becomes of this one.
    if (buffer[start + 5] === 0) statements.replaceUnnamed();
    const message = readParse(buffer, start, end);
    const statement = this.make(buffer, message, end, literals);
    if (statement !== null) statements.assertFree(message.name);
    return statement;
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
    const { session, unfilled } = this;
    if (unfilled?.name === name && unfilled.text.equals(buffer.subarray(textStart, textEnd))) {
      return this.filledIn(unfilled);
    }
    // It is kept, and more than once.
    if (textEnd - textStart > WORKER_TEXT_BYTES_MAX) {
      throw tooComplex(`the text is ${textEnd - textStart} bytes long`);
    }
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
    const isShared = !isFetch(plan) && !mayTellTime(buffer.subarray(textStart, textEnd), literals);
    const known = this.knownText(planned, isShared, unique, buffer, textStart, textEnd, end);
    return this.filledIn({
      name,
      text: known.text,
      paramTypes,
      planned,
      searchPathKey: session.planning.searchPathKey,
      meaningKey: session.planning.meaningKey,
      readUnder: session.planning.meaningKey,
      literals: unique ? NO_LITERALS : literals.copy(),
      prepared: known.prepared,
      isShared,
      inDoubt: false,
      inferredTypes: null,
      preparedAt: 0,
      source: null,
      filled: null,
    });
  }

  /**
   * Plans again what was planned under another schema, topology or search path; false: wait. Throws SqlError 0A000
   * where servers would read its constants as something else than when it was prepared.
   */
  refresh(statement: ClientStatement): boolean {
    const { planning, pins } = this.session;
    if (pins.unread && !pins.read()) return false;
    if (statement.meaningKey !== planning.meaningKey) this.mean(statement);
    if (!this.isCurrent(statement)) {
      const { text, paramTypes, literals } = statement;
      const again = planning.plan(text, 0, text.length, paramTypes, literals);
      if (again === null) return false;
      statement.planned = again;
      statement.searchPathKey = planning.searchPathKey;
      statement.filled = null;
      statement.inDoubt = statement.prepared.described !== null;
    }
    return this.fill(statement);
  }

  /** Servers are to read the text under other settings than before. */
  private mean(statement: ClientStatement): void {
    const { prepared, planned, searchPathKey, isShared, text, literals, readUnder } = statement;
    const { meaningKey } = this.session.planning;
    assertSameMeaning(text, literals, readUnder, meaningKey);
    statement.meaningKey = meaningKey;
    statement.filled = null;
    if (!isShared) return;
    statement.prepared = this.prepare(prepared.parseRest, true, planned, searchPathKey);
  }

  /** Whether it would be planned the same way now. */
  private isCurrent({ searchPathKey, planned }: ClientStatement): boolean {
    const { planning } = this.session;
    const { planner } = planning;
    return (
      searchPathKey === planning.searchPathKey &&
      planned.catalogVersion === planner.catalogVersion &&
      planned.topologyVersion === planner.topologyVersion &&
      !planning.overlay.isStale
    );
  }

  /** Whether a Parse of it now would give its constants the same values. */
  private readsAlike({ readUnder }: ClientStatement): boolean {
    return readUnder === this.session.planning.meaningKey;
  }

  private filledIn(statement: ClientStatement): ClientStatement | null {
    this.unfilled = statement;
    if (!this.fill(statement)) return null;
    this.unfilled = null;
    const plan = onlyPlan(runnable(statement).planned);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    return statement;
  }

  /** Plans a text that takes the values which the proxy makes as parameters; false: wait. */
  private fill(statement: ClientStatement): boolean {
    const plan = onlyPlan(statement.planned);
    if (plan.kind !== 'fill' || statement.filled !== null) return true;
    const { planning } = this.session;
    const { paramTypes, planned: asGiven, searchPathKey } = statement;
    const first = Math.max(asGiven.paramCount, paramTypes.length) + 1;
    const slots = slotsOf(plan);
    if (first + slots.length - 1 > PARAMETERS_MAX) throw tooManyParameters('INSERT');
    const given = statement.text;
    const toParameter = (_slot: unknown, index: number): string => `$${first + index}`;
    const { text } = fillText(plan, given, 0, given.length, statement.literals, toParameter);
    const literals = new Literals();
    const planned = planning.plan(text, 0, text.length, paramTypes, literals);
    if (planned === null) return false;
    const { parseRest } = unnamedText(text, paramTypes);
    const prepared = this.prepare(parseRest, statement.isShared, planned, searchPathKey);
    statement.filled = {
      statement: { ...statement, text, planned, literals, prepared, inferredTypes: null },
      slots,
      verb: plan.verb,
    };
    return true;
  }

  /** A plan without literals is that of one text only, which is copied once. */
  private knownText(
    planned: PlannedText,
    isShared: boolean,
    unique: boolean,
    buffer: Buffer,
    textStart: number,
    textEnd: number,
    end: number,
  ): KnownText {
    const { planning, context } = this.session;
    const { texts } = context;
    const { meaningKey, searchPathKey } = planning;
    const known = unique && isShared ? texts.ofPlan.get(planned) : undefined;
    if (known?.meaningKey === meaningKey) return known;
    const parseRest = buffer.subarray(textStart, end);
    const made: KnownText = {
      text: Buffer.from(buffer.subarray(textStart, textEnd)),
      meaningKey,
      prepared: this.prepare(parseRest, isShared, planned, searchPathKey),
    };
    if (unique && isShared) texts.ofPlan.set(planned, made);
    return made;
  }

  private prepare(
    parseRest: Buffer,
    isShared: boolean,
    { catalogVersion }: PlannedText,
    searchPathKey: string,
  ): PreparedText {
    const { context, planning } = this.session;
    if (!isShared) return context.texts.unshared(parseRest);
    // What the same text may mean another thing under.
    const key = `${catalogVersion}\0${searchPathKey}\0\0${planning.meaningKey}`;
    return context.texts.intern(parseRest, key);
  }
}

/** A server keeps the columns of the cursor that it saw when it parsed this. */
function isFetch(plan: Plan): boolean {
  return plan.kind === 'route' && plan.cursor?.action === 'fetch';
}

const NO_LITERALS = new Literals();

/** Has a string such as 'today', which a server reads when it parses the text. */
function mayTellTime(text: Buffer, literals: Literals): boolean {
  const { count, starts, ends, kinds } = literals;
  for (let i = 0; i < count; i++) {
    const pattern = clockTexts.get(kinds[i]!);
    if (pattern?.test(text.toString('latin1', starts[i], ends[i])) === true) return true;
  }
  return false;
}

const clockWords = /now|today|tomorrow|yesterday/i;
/** Escapes may spell such a word. */
const clockWordsEscaped = /now|today|tomorrow|yesterday|\\/i;
/** By the kind of the literal. */
const clockTexts: ReadonlyMap<number, RegExp> = new Map([
  [LiteralKind.string, clockWords],
  [LiteralKind.dollarString, clockWords],
  [LiteralKind.escapeString, clockWordsEscaped],
  [LiteralKind.unicodeString, clockWordsEscaped],
]);

import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect } from '../backend/postgres/expected-replies.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { Ask, type Answered } from '../executor/ask.js';
import { movedPosition } from '../protocol/error-position.js';
import type { Shard } from '../keyspace/topology.js';
import { FIRST_USER_OID, TypeOid } from '../keyspace/type-oids.js';
import type { ArgumentConstant, ExecuteCommand, PrepareCommand } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { Writer } from '../protocol/writer.js';
import { Literals } from '../sql/literals.js';
import type { Outcome } from '../transaction/operation.js';
import { runnable, type ClientStatement } from './client-statement.js';
import type { ClientStatements } from './client-statements.js';
import { homeShard, onlyPlan } from './parse-queue.js';
import type { Session } from './session.js';
import { isShardPlan, refusalError, type ShardPlan } from './shard-choice.js';
import type { StatementFactory } from './statement-factory.js';

/** A value for a parameter, as Bind has it. */
interface Value {
  readonly bytes: Buffer | null;
  readonly binary: boolean;
}

/** What an EXECUTE comes to. */
export interface Execution {
  readonly statement: ClientStatement;
  readonly plan: ShardPlan;
  /** The types of all its parameters. */
  readonly paramTypes: readonly number[];
  readonly values: readonly Value[];
}

/** Gets a backend of a shard, as part of what the session has open; null: wait. */
export type Lend = (shard: Shard) => BackendConnection | null;

/**
 * SQL PREPARE and EXECUTE. The statements are those of the extended protocol, under the same names; EXECUTE is a Bind
 * of its arguments' values, which a server computes where they are not plain constants.
 */
export class SqlStatements {
  private readonly session: Session;
  private readonly statements: ClientStatements;
  private readonly factory: StatementFactory;
  /** Another's literals must not be lost by planning in the middle of a script. */
  private readonly literals = new Literals();
  /** What the EXECUTE that is handled now has had to wait for. */
  private asked: { readonly command: ExecuteCommand; readonly values: readonly Value[] } | null =
    null;
  private failure: Buffer | null = null;
  /** What EXPLAIN stands in front of, while the EXECUTE that is handled now waits for what it means. */
  private explained: {
    readonly head: string;
    readonly stored: ClientStatement;
    readonly statement: ClientStatement;
  } | null = null;

  constructor(session: Session, statements: ClientStatements, factory: StatementFactory) {
    this.session = session;
    this.statements = statements;
    this.factory = factory;
  }

  /** SQL DEALLOCATE; null: all. Throws SqlError 26000 where the name does not exist. */
  deallocate(name: string | null): void {
    this.statements.deallocate(name);
  }

  /** What an earlier message waited for, and never used, is void. */
  reset(): void {
    this.asked = null;
    this.failure = null;
    this.explained = null;
  }

  /** False: wait, call again. Throws SqlError where the statement is refused. */
  prepare(command: PrepareCommand, done: (outcome: Outcome) => void): boolean {
    const { session } = this;
    const statement = this.make(command.name, Buffer.from(command.query), command.paramTypes);
    if (statement === null) return false;
    const { work } = session;
    const apart = work.explicit && work.participants.length === 0;
    // What it means is asked outside the transaction, which must not be bound to a shard by it.
    let backend: BackendConnection | null;
    if (apart) work.explicit = false;
    try {
      backend = session.lease(homeShard(session, shardPlan(statement), null));
    } finally {
      if (apart) work.explicit = true;
    }
    if (backend === null) return false;
    this.describe(statement, backend, apart, (answered) => {
      if (apart) session.releaseAll();
      done(this.prepared(command, statement, answered));
      session.resumeSoon();
    });
    return true;
  }

  private prepared(
    command: PrepareCommand,
    statement: ClientStatement,
    answered: Answered,
  ): Outcome {
    if (!answered.ok) {
      return { ok: false, error: movedPosition(answered.error, command.offset) };
    }
    statement.inferredTypes = answered.paramTypes;
    statement.prepared.validated = true;
    try {
      this.statements.addLasting({ ...statement, source: command.source });
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      return { ok: false, error: errorBytes(error) };
    }
    return { ok: true, tag: 'PREPARE' };
  }

  /** Null: wait, call again; a Buffer is the error of a server. Throws SqlError. */
  resolve(command: ExecuteCommand, lend: Lend): Execution | Buffer | null {
    const unbound = this.unbound(command, lend);
    if (unbound === null || Buffer.isBuffer(unbound)) return unbound;
    const { statement, paramTypes } = unbound;
    assertCount(command, paramTypes.length);
    const values = this.values(command, paramTypes, lend);
    if (values === null) return null;
    const { filled } = statement;
    if (filled === null) {
      this.reset();
      return { statement, plan: shardPlan(statement), paramTypes, values };
    }
    const runs = filled.statement;
    if (runs.inferredTypes === null) {
      this.learnTypes(runs, shardPlan(statement), lend);
      return null;
    }
    const made = this.session.planning.ids.values(filled.slots, filled.verb);
    if (made === null) return null;
    this.reset();
    const more = made.map((value): Value => ({ bytes: Buffer.from(value), binary: false }));
    return {
      statement: runs,
      plan: shardPlan(statement),
      paramTypes: runs.inferredTypes,
      values: [...values, ...more],
    };
  }

  /** The same with NULLs in place of the arguments, for its description. */
  unbound(command: ExecuteCommand, lend: Lend): Execution | Buffer | null {
    const { failure } = this;
    if (failure !== null) {
      this.reset();
      return failure;
    }
    const stored = this.statements.named(command.name);
    if (!this.factory.refresh(stored)) return null;
    const plan = shardPlan(stored);
    if (stored.inferredTypes === null) {
      this.learnTypes(stored, plan, lend);
      return null;
    }
    const paramTypes = stored.inferredTypes;
    const { explain } = command;
    const statement = explain === null ? stored : this.explain(explain, stored, paramTypes);
    if (statement === null) return null;
    const values = paramTypes.map(() => NULL_VALUE);
    return { statement, plan: shardPlan(statement), paramTypes, values };
  }

  /** The statement with EXPLAIN in front of it, the same one until it is carried out; null: wait. */
  private explain(
    head: string,
    stored: ClientStatement,
    paramTypes: readonly number[],
  ): ClientStatement | null {
    const { explained } = this;
    if (explained?.head === head && explained.stored === stored) {
      return this.factory.refresh(explained.statement) ? explained.statement : null;
    }
    const statement = this.make('', Buffer.concat([Buffer.from(head), stored.text]), paramTypes);
    if (statement !== null) this.explained = { head, stored, statement };
    return statement;
  }

  /** Whether the types of the parameters of an EXECUTE are known. */
  isKnown({ name }: ExecuteCommand): boolean {
    return this.statements.named(name).inferredTypes !== null;
  }

  /** A shard tells the types of a statement's parameters; an error is what `resolve` gives next. */
  private learnTypes(statement: ClientStatement, plan: ShardPlan, lend: Lend): void {
    const backend = lend(homeShard(this.session, plan, null));
    if (backend === null) return;
    this.describe(statement, backend, !this.session.inPipeline, (answered) => {
      if (answered.ok) statement.inferredTypes = answered.paramTypes;
      else this.failure = answered.error;
      this.session.resumeSoon();
    });
  }

  /** A statement of this text; null: wait. */
  private make(name: string, text: Buffer, paramTypes: readonly number[]): ClientStatement | null {
    const { parseRest } = unnamedText(text, paramTypes);
    const message = { name, textStart: 0, textEnd: text.length, paramTypes };
    return this.factory.make(parseRest, message, parseRest.length, this.literals);
  }

  private describe(
    statement: ClientStatement,
    backend: BackendConnection,
    sync: boolean,
    onDone: (answered: Answered) => void,
  ): void {
    backend.statements.parseUnnamed(statement.prepared, DROP);
    backend.out.begin(Frontend.describe).byte(0x53).byte(0).end();
    backend.expect(Expect.describe, CAPTURE);
    this.ask(backend, sync || !this.session.inPipeline, onDone);
  }

  private ask(
    backend: BackendConnection,
    sync: boolean,
    onDone: (answered: Answered) => void,
  ): void {
    const { session } = this;
    if (!sync) session.touch([backend]);
    const ask = new Ask(backend, onDone);
    session.operation = ask;
    session.busy = true;
    session.flushLocal();
    ask.start(sync);
  }

  // ---------------------------------------------------------------- arguments

  private values(
    command: ExecuteCommand,
    types: readonly number[],
    lend: Lend,
  ): readonly Value[] | null {
    if (this.asked?.command === command) return this.asked.values;
    const { constants } = command;
    if (constants?.every((constant, i) => isPlain(constant, types[i]!)) === true) {
      return constants.map(({ text }) => ({
        bytes: text === null ? null : Buffer.from(text),
        binary: false,
      }));
    }
    this.askForValues(command, types, lend);
    return null;
  }

  /** A server converts the arguments to the parameters' types, by an EXECUTE of its own. */
  private askForValues(command: ExecuteCommand, types: readonly number[], lend: Lend): void {
    const { session } = this;
    if (!this.mayBeComputed(command)) return;
    const held = session.work.participants[0];
    const backend = lend(held?.shard ?? session.context.config.topology.catalogShard);
    if (backend === null) return;
    const list = types.map((_, i) => `$${i + 1}`).join(', ');
    const { parseRest } = unnamedText(`SELECT ${list}`, types);
    const identity = session.context.texts.intern(parseRest, 'arguments of EXECUTE');
    if (!backend.statements.knows(identity)) backend.statements.parse(identity, DROP);
    const head = `EXECUTE ${identity.name.toString('latin1')} (`;
    const formats = types.map((type) => this.travelsInBinary(type));
    const bind = new Writer(64).int16(0).int16(0).int16(formats.length);
    for (const binary of formats) bind.int16(binary ? 1 : 0);
    const text = unnamedText(`${head}${command.args})`, []);
    backend.statements.runUnnamed(text, bind.take(), false);
    this.ask(backend, !session.inPipeline, (answered) => {
      if (answered.ok) {
        const values = answered.results[0]![0]!.map((bytes, i) => ({ bytes, binary: formats[i]! }));
        this.asked = { command, values };
      } else this.failure = movedPosition(answered.error, command.offset - head.length);
      session.resumeSoon();
    });
  }

  /** Whether any shard can compute the arguments, as a SELECT of them; false: wait. */
  private mayBeComputed(command: ExecuteCommand): boolean {
    const { planning } = this.session;
    const text = Buffer.from(`SELECT ${command.args}`);
    const planned = planning.plan(text, 0, text.length, NO_TYPES, this.literals);
    if (planned === null) return false;
    const plan = onlyPlan(planned);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    if (planned.paramCount > 0) {
      throw sqlError('undefined_parameter', 'there is no parameter $1');
    }
    const { kind } = plan.kind === 'route' ? plan.shards : { kind: 'other' };
    const computes = plan.kind === 'route' && plan.effects === null && !plan.writes;
    if (computes && (kind === 'any' || kind === 'catalog')) return true;
    throw sqlError('feature_not_supported', 'these arguments of EXECUTE are not supported', {
      hint: 'Give constants, or expressions that only compute.',
    });
  }

  /** Text of some types depends on settings, and the binary form of others on the server. */
  private travelsInBinary(type: number): boolean {
    const { textOnlyTypes } = this.session.planning.planner.catalog;
    return type < FIRST_USER_OID && textOnlyTypes?.has(type) !== true;
  }
}

/** A Bind message of these values for the unnamed statement; `resultFormats` from their count on. */
export function bindMessage(
  portal: string,
  values: readonly Value[],
  resultFormats: Buffer,
): Buffer {
  const rest = bindRest(values, resultFormats);
  return new Writer(256).begin(Frontend.bind).cstring(portal).byte(0).bytes(rest).end().take();
}

/** A Bind message of these values from behind the statement's name. */
export function bindRest(values: readonly Value[], resultFormats: Buffer): Buffer {
  const writer = new Writer(64 + resultFormats.length);
  writer.int16(values.length);
  for (const { binary } of values) writer.int16(binary ? 1 : 0);
  writer.int16(values.length);
  for (const { bytes } of values) {
    if (bytes === null) writer.int32(-1);
    else writer.int32(bytes.length).bytes(bytes);
  }
  return writer.bytes(resultFormats).take();
}

/** Its plan; throws SqlError where the session would have to run it by itself. */
function shardPlan(statement: ClientStatement): ShardPlan {
  const plan = onlyPlan(runnable(statement).planned);
  if (plan.kind === 'refuse') throw refusalError(plan.refusal);
  if (isShardPlan(plan) && plan.kind !== 'copyFrom') return plan;
  throw sqlError('feature_not_supported', 'EXECUTE of this kind of statement is not supported', {
    hint: 'Run the statement itself.',
  });
}

function assertCount({ name, argumentCount }: ExecuteCommand, expected: number): void {
  if (argumentCount === expected) return;
  throw sqlError('syntax_error', `wrong number of parameters for prepared statement "${name}"`, {
    detail: `Expected ${expected} parameters but got ${argumentCount}.`,
  });
}

/** Whether the parameter's input function makes of the constant's text what its conversion would. */
function isPlain({ kind, text }: ArgumentConstant, type: number): boolean {
  switch (kind) {
    case 'null':
      return true;
    case 'string':
      return SOUND.get(type)?.test(text ?? '') === true;
    case 'boolean':
      return type === TypeOid.bool;
    case 'integer':
      return FRACTIONS.has(type) || (INTEGERS.has(type) && SOUND.get(type)!.test(text ?? ''));
    case 'decimal':
      return FRACTIONS.has(type) || (type === TypeOid.int8 && /^-?\d+$/.test(text ?? ''));
  }
}

const INTEGERS: ReadonlySet<number> = new Set([TypeOid.int2, TypeOid.int4, TypeOid.int8]);
const FRACTIONS: ReadonlySet<number> = new Set([TypeOid.numeric, TypeOid.float4, TypeOid.float8]);
const ANY_TEXT = /^/;
/** Strings that are values of a type whatever the settings are; of others a server says whether they are. */
const SOUND: ReadonlyMap<number, RegExp> = new Map([
  [TypeOid.text, ANY_TEXT],
  [TypeOid.varchar, ANY_TEXT],
  [TypeOid.int2, /^-?\d{1,4}$/],
  [TypeOid.int4, /^-?\d{1,9}$/],
  [TypeOid.int8, /^-?\d{1,18}$/],
  [TypeOid.numeric, /^-?\d{1,99}(\.\d{1,99})?$/],
  [TypeOid.uuid, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i],
]);
const NO_TYPES: readonly number[] = [];
const NULL_VALUE: Value = { bytes: null, binary: false };

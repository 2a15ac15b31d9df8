import { performance } from 'node:perf_hooks';
import type { BackendError } from '../backend/backend-error.js';
import { Expect, PASS } from '../backend/postgres/expected-replies.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError } from '../errors/sql-error.js';
import { fillText, type FilledText } from '../executor/fill-text.js';
import { ValueSource } from '../executor/shard-targets.js';
import { CommitKind } from '../metrics/metrics.js';
import type { ExecuteCommand, FillPlan, LocalPlan, Plan, PlannedText } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { withPosition } from '../protocol/error-position.js';
import { ready, writeCommandComplete } from '../protocol/backend-messages.js';
import { queryTextEnd } from '../protocol/frontend-messages.js';
import { Literals } from '../sql/literals.js';
import { offsetOf } from '../sql/position.js';
import { quoteLiteral } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { endBatchOn } from './batch-end.js';
import { withBoundEffect } from './bound-effect.js';
import { runLocal } from './local-commands.js';
import {
  isAwayFromBegin,
  isShardPlan,
  passesThrough,
  refusalError,
  type ShardPlan,
} from './shard-choice.js';
import { tellCutNames } from './notices.js';
import { countRoute, countRun } from './route-metrics.js';
import { statementRun } from './run-choice.js';
import { applyEffectsOf, restoreSettings } from './setting-effects.js';
import type { Session } from './session.js';
import { assertAlone, assertMayUse, noteRun } from './shard-use.js';
import { bindRest, type Execution } from './sql-statements.js';
import { lacksValues, missingValue, planOfQuery } from './valueless-plan.js';
import { assert } from '../util/assert.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** A Query that takes several steps; the session comes back to it after each. */
interface Script {
  planned: PlannedText;
  /** What it was planned under; a SET of the search path makes the statements behind it mean another thing. */
  searchPathKey: string;
  /** The Query's text, kept for as long as the script runs. */
  readonly text: Buffer;
  /** The whole Query is a text that was made; null: the client's. */
  readonly made: FilledText | null;
  index: number;
  /** The statement at `index` with values of the proxy filled in, where its text lacks some. */
  filled: Filled | null;
  /** The statement at `index` where it runs on shards, while it waits for something. */
  run: StatementRun | null;
  /** That has got all its backends: from then on it goes its way. */
  leased: boolean;
  /** That statement where it is EXECUTE. */
  execution: Execution | null;
  /** Outcome of the statement at `index`; null while it has not run. */
  outcome: Outcome | null;
  /** CommandComplete of the statement before `index`; that of the last one is held back until all is committed. */
  tag: string | null;
  /** Backends that ran something without Sync. */
  readonly open: Set<BackendConnection>;
  /** The session's settings when the implicit transaction began: an error brings them back. */
  settingsBefore: ReadonlyMap<string, string>;
  ending: 'no' | 'started' | 'done';
  error: SqlError | Buffer | null;
}

/** What is to run on shards. */
interface Given extends Pick<RunRequest, 'plan' | 'text' | 'from' | 'to' | 'bind'> {
  /** Of the whole text. */
  readonly literals: Literals;
}

/** One statement's text, made anew. */
interface Filled extends FilledText {
  readonly literals: Literals;
  /** Null: it is still being planned. */
  plan: Plan | null;
}

/**
 * The simple protocol. A text that one shard can run as it stands goes there untouched, and so does its answer;
 * everything else is run statement by statement as one implicit transaction, as Postgres does with several statements.
 */
export class SimpleQuery {
  private readonly session: Session;
  private script: Script | null = null;
  /** The Query that is being handled, with values of the proxy filled in, where its text lacks some. */
  private filled: FilledQuery | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /** A script of several steps runs: what it sends to backends has no Sync of its own. */
  get running(): boolean {
    const { script } = this;
    if (script === null) return false;
    return script.open.size > 0 || (this.isScript && !this.session.work.explicit);
  }

  /** A Query of several statements runs. */
  get isScript(): boolean {
    return this.script !== null && this.script.planned.statements.length > 1;
  }

  /** The session's settings when the implicit transaction of the script that runs began. */
  get settingsBefore(): ReadonlyMap<string, string> | null {
    return this.script?.settingsBefore ?? null;
  }

  query(buffer: Buffer, start: number, end: number): boolean {
    const { filled } = this;
    if (filled !== null) return this.queryFilled(filled);
    return this.run(buffer, start, end);
  }

  private queryFilled(filled: FilledQuery): boolean {
    const { message } = filled;
    this.filled = filled;
    if (!this.run(message, 0, message.length)) return false;
    this.filled = null;
    return true;
  }

  private run(buffer: Buffer, start: number, end: number): boolean {
    const { session } = this;
    const textEnd = queryTextEnd(buffer, start, end);
    // Whatever comes of it: the text may be none.
    session.extended.statements.dropUnnamed();
    const planned = session.planning.plan(buffer, start + 5, textEnd, NO_TYPES, session.literals);
    if (planned === null) return false;
    session.extended.onSimpleQuery(planned.statements.length);
    session.extended.sqlStatements.reset();
    const { source, work } = session;
    source.text = buffer;
    source.textStart = start + 5;
    source.literals = session.literals;
    source.bind = null;
    const whole = planOfQuery(planned, work.explicit);
    if (whole !== null) {
      if (whole.kind === 'empty') {
        session.local.bytes(ready.emptyQueryResponse);
        session.writeReady();
        return true;
      }
      session.control.refuseWhereFailed(whole);
      if (whole.kind === 'fill') {
        const text = Buffer.from(buffer.subarray(start + 5, textEnd));
        const filled = this.fillIn(whole, text, 0, text.length);
        return (
          filled !== null && this.queryFilled({ ...filled, message: queryMessage(filled.text) })
        );
      }
      if (whole.kind === 'refuse') {
        if (session.planning.seesFreshCatalog(whole.refusal)) return false;
        countRoute(session.context.metrics, whole, 0);
        throw refusalError(whole.refusal);
      }
      const passed = this.passThrough(whole, planned, buffer, start, end);
      if (passed !== null) return passed;
    }
    tellCutNames(session, planned.cutNames);
    this.script = {
      planned,
      searchPathKey: session.planning.searchPathKey,
      text: Buffer.from(buffer.subarray(start + 5, textEnd)),
      index: 0,
      made: this.filled,
      filled: null,
      run: null,
      leased: false,
      execution: null,
      outcome: null,
      tag: null,
      open: new Set(),
      settingsBefore: session.settings.current,
      ending: 'no',
      error: null,
    };
    this.goOn();
    return true;
  }

  /** The statement's text with its values; null: wait. */
  private fillIn(plan: FillPlan, text: Buffer, from: number, to: number): FilledText | null {
    const { session } = this;
    const values = session.planning.ids.valuesFor(plan);
    if (values === null) return null;
    return fillText(plan, text, from, to, session.literals, (_slot, index) => {
      return quoteLiteral(values[index]!);
    });
  }

  /** Goes on with the script that runs, unless something must still be waited for. */
  goOn(): void {
    if (this.script !== null) this.advance(this.script);
  }

  /** Sends the message to one backend as it is; null: it takes more than that. */
  private passThrough(
    plan: Plan,
    planned: PlannedText,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean | null {
    const { session } = this;
    const { context } = session;
    let backend: BackendConnection | null;
    if (plan.kind === 'local') {
      // A change of the catalog is loaded before its commit is answered.
      backend = mustEndByItself(session) ? null : session.control.backendFor(plan.command);
      if (backend === null) return null;
      session.control.passed(plan.command, () => '');
      context.metrics.transactions[
        session.control.committing ? CommitKind.oneShard : CommitKind.rolledBack
      ]!++;
    } else {
      if (!isShardPlan(plan) || !passesThrough(plan)) return null;
      // Its own notification comes in front of ReadyForQuery.
      if (plan.touches?.includes('notify') === true) return null;
      const shards = session.planning.lookups.shardsFor(plan, session.source);
      if (shards === null) return false;
      if (shards.length !== 1 || isAwayFromBegin(session, plan, shards)) return null;
      const shard = shards[0]!;
      assertMayUse(session, shards, plan);
      const isAlone = planned.statements.length === 1 && this.filled === null;
      if (plan.kind === 'route' && isAlone && session.ride.query(plan, shard, buffer, start, end)) {
        countRoute(context.metrics, plan, 1);
        return true;
      }
      backend = session.lease(shard);
      if (backend === null) return false;
      session.pins.noteUse(backend, plan, plan.writes);
      if (plan.kind === 'route') session.pendingEffects = plan.effects;
      if (planned.statements.length > 1) this.noteControl(planned, buffer, start + 5);
    }
    countRoute(context.metrics, plan, 1);
    if (this.filled !== null) backend.positionOf = this.filled.positionOf;
    backend.out.bytes(buffer, start, end);
    backend.expect(Expect.query, PASS);
    backend.startedAt = performance.now();
    backend.timed = plan.usage ?? null;
    session.busy = true;
    return true;
  }

  /** Transaction commands within a text that passes through as a whole. */
  private noteControl(planned: PlannedText, buffer: Buffer, textStart: number): void {
    const { session } = this;
    const { literals } = session;
    for (const { plan, start, end } of planned.statements) {
      if (plan.kind !== 'local') continue;
      session.control.passed(plan.command, () =>
        buffer.toString(
          'utf8',
          textStart + offsetOf(start, literals),
          textStart + offsetOf(end, literals),
        ),
      );
    }
  }

  /** A backend is gone; what a script has done there outside an explicit transaction can no longer be committed. */
  lost(backend: BackendConnection, error: BackendError): void {
    const { script } = this;
    if (script?.open.has(backend) === true && script.ending === 'no') {
      script.error ??= error.toSqlError();
    }
  }

  /** What runs has come to use a further backend. */
  noteOpen(backend: BackendConnection): void {
    this.script?.open.add(backend);
  }

  /** An error of our own ends the whole Query. */
  refuse(error: SqlError): boolean {
    const { session } = this;
    this.filled = null;
    if (this.script !== null) {
      this.script.error = error;
      this.goOn();
      return true;
    }
    session.writeFailure(error);
    session.writeReady();
    const { explicit } = session.work;
    session.extended.endPortals(!explicit);
    if (!explicit) session.releaseAll();
    return true;
  }

  // ---------------------------------------------------------------- scripts

  /** Goes on with a script; true: the Query is answered. */
  private advance(script: Script): boolean {
    while (script.error === null && script.ending === 'no') {
      if (script.outcome !== null) {
        const { outcome } = script;
        script.outcome = null;
        script.filled = null;
        if (!outcome.ok) {
          script.error = outcome.error;
          break;
        }
        if (outcome.tag !== '') script.tag = outcome.tag;
        script.index++;
      }
      if (script.index === script.planned.statements.length) break;
      try {
        if (!this.runStatement(script)) return false;
      } catch (error) {
        if (!(error instanceof SqlError) || error.severity === 'FATAL') throw error;
        script.error = error;
      }
    }
    return this.endScript(script);
  }

  /** Runs the statement at `index`; false: it has been started, or something must be waited for. */
  private runStatement(script: Script): boolean {
    const { session } = this;
    if (!this.planAnew(script)) return false;
    const { planned, text } = script;
    const statement = planned.statements[script.index]!;
    const { plan, start, end } = statement;
    if (script.tag !== null && plan.kind !== 'empty') {
      writeCommandComplete(session.local, script.tag);
      script.tag = null;
    }
    session.control.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    const single = planned.statements.length === 1;
    if (!single) assertAlone(plan);
    const from = single ? 0 : offsetOf(start, session.literals);
    const to = single ? text.length : offsetOf(end, session.literals);
    if (!single && lacksValues(statement)) throw missingValue(text, from, to);
    if (plan.kind === 'empty') {
      script.outcome = { ok: true, tag: '' };
      return true;
    }
    if (plan.kind === 'local' && plan.command.kind === 'execute') {
      return this.runPrepared(script, plan.command);
    }
    if (plan.kind === 'local')
      return this.runLocally(script, plan, text.toString('utf8', from, to));
    if (plan.kind === 'fill') return this.runFilled(script, plan, from, to);
    if (!isShardPlan(plan)) return true;
    const { literals } = session;
    return this.runOnShards(script, { plan, text, from, to, literals, bind: null }, NO_TYPES);
  }

  private runFilled(script: Script, plan: FillPlan, start: number, end: number): boolean {
    const { planning } = this.session;
    if (script.filled === null) {
      const filled = this.fillIn(plan, script.text, start, end);
      if (filled === null) return false;
      script.filled = { ...filled, literals: new Literals(), plan: null };
    }
    const { text, literals } = script.filled;
    if (script.filled.plan === null) {
      const planned = planning.plan(text, 0, text.length, NO_TYPES, literals);
      if (planned === null) return false;
      script.filled.plan = planned.statements[0]!.plan;
    }
    const filled = script.filled.plan;
    if (filled.kind === 'refuse') throw refusalError(filled.refusal);
    assert(isShardPlan(filled), 'a filled statement runs on shards');
    const to = text.length;
    return this.runOnShards(
      script,
      { plan: filled, text, from: 0, to, literals, bind: null },
      NO_TYPES,
    );
  }

  /**
   * Plans the text again where an earlier statement of it has changed what names mean, or a reload where rows are;
   * false: wait. Where rows are is asked again behind each wait in a line: a PAUSE may have lasted while they moved.
   */
  private planAnew(script: Script): boolean {
    const { planning, literals, catalogStale, pins } = this.session;
    if (pins.unread && !pins.read()) return false;
    const { searchPathKey, overlay } = planning;
    const current = script.planned;
    const { planner } = planning;
    const isReloaded = !script.leased && current.topologyVersion !== planner.topologyVersion;
    if (!script.leased && (isReloaded || planner.movesKeys)) script.run = null;
    const isLocal = current.statements[script.index]!.plan.kind === 'local';
    const sameSchema =
      !catalogStale ||
      isLocal ||
      (!overlay.isStale && current.catalogVersion === overlay.planner.catalogVersion);
    if (script.searchPathKey === searchPathKey && sameSchema && !isReloaded) return true;
    const { text } = script;
    const planned = planning.plan(text, 0, text.length, NO_TYPES, literals);
    if (planned === null) return false;
    script.planned = planned;
    script.execution = null;
    if (script.filled !== null) script.filled.plan = null;
    script.searchPathKey = searchPathKey;
    return true;
  }

  private runLocally(script: Script, plan: LocalPlan, sql: string): boolean {
    const { session } = this;
    const { work } = session;
    countRoute(session.context.metrics, plan, 0);
    const endsTransaction = plan.command.kind === 'commit' || plan.command.kind === 'rollback';
    const onDone = (outcome: Outcome): void => {
      if (this.running) {
        for (const backend of work.participants) script.open.add(backend);
      }
      if (endsTransaction && !work.explicit) script.settingsBefore = session.settings.current;
      script.outcome = outcome;
    };
    return runLocal(session, plan.command, sql, onDone) && script.outcome !== null;
  }

  /** SQL EXECUTE: the statement that it names, with values for its parameters. */
  private runPrepared(script: Script, command: ExecuteCommand): boolean {
    const { session } = this;
    if (script.execution === null) {
      const execution = session.extended.sqlStatements.resolve(command, (shard) => {
        const backend = session.lease(shard);
        if (backend !== null && this.running) script.open.add(backend);
        return backend;
      });
      if (execution === null) return false;
      if (Buffer.isBuffer(execution)) {
        script.outcome = { ok: false, error: execution };
        return true;
      }
      const { statement, values } = execution;
      const { text, literals } = statement;
      const source = ValueSource.of({ sql: text, literals }, bindRest(values, TEXT_RESULTS));
      script.execution = { ...execution, plan: withBoundEffect(execution.plan, source) };
    }
    const { statement, plan, paramTypes, values } = script.execution;
    const { text, literals } = statement;
    const bind = bindRest(values, TEXT_RESULTS);
    return this.runOnShards(
      script,
      { plan, text, from: 0, to: text.length, literals, bind },
      paramTypes,
    );
  }

  /** `paramTypes`: of all parameters. */
  private runOnShards(
    script: Script,
    { literals, ...given }: Given,
    paramTypes: readonly number[],
  ): boolean {
    const { session } = this;
    const { work } = session;
    const { plan } = given;
    const alone = script.planned.statements.length === 1 && !work.explicit;
    // Where keys may move, reads hold their tables until all shards have answered: see move-key.ts.
    const mayMove = session.context.config.topology.directories.length > 0;
    const endsWithSync =
      alone && ((!plan.writes && !mayMove) || (plan.kind === 'broadcast' && !plan.transactional));
    if (script.run === null) {
      const values = ValueSource.of({ sql: given.text, literals }, given.bind);
      if (!session.planning.lookups.ready(plan, values)) return false;
      script.run = statementRun(session, { ...given, values, describe: true, endsWithSync });
      session.planning.lookups.clear();
    }
    for (;;) {
      const run: StatementRun = script.run;
      assertMayUse(session, run.shards, plan, run.writers);
      const backends = session.leaseAll(run.shards);
      if (backends === null) return false;
      script.leased = true;
      const staysOpen = !endsWithSync || run.leavesOpen === true;
      if (staysOpen) for (const backend of backends) script.open.add(backend);
      const prepared = run.prepare(backends, paramTypes, (error) => {
        script.outcome = { ok: false, error: this.told(script, error) };
      });
      if (prepared === 'wait') return false;
      if (prepared === 'ready') {
        this.start(script, run, plan, backends, paramTypes);
        return false;
      }
      script.run = prepared;
    }
  }

  private start(
    script: Script,
    run: StatementRun,
    plan: ShardPlan,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
  ): void {
    const { session } = this;
    const count = countRun(session.context.metrics, plan, run);
    noteRun(session, plan, run, backends);
    script.run = null;
    script.leased = false;
    script.execution = null;
    run.start(backends, paramTypes, (outcome) => {
      count(outcome);
      if (outcome.ok) applyEffectsOf(session, plan);
      script.outcome = outcome.ok
        ? outcome
        : { ok: false, error: this.told(script, outcome.error) };
      session.resumeSoon();
    });
  }

  /** An error of a text that was made, as of the client's. */
  private told({ filled, made }: Script, error: Buffer): Buffer {
    const positionOf = (filled ?? made)?.positionOf;
    return positionOf === undefined ? error : withPosition(error, 0, error.length, positionOf);
  }

  /** Commits or rolls back what the script did outside an explicit transaction, then answers. */
  private endScript(script: Script): boolean {
    const { session } = this;
    const { work } = session;
    if (script.ending === 'started') return false;
    const open = work.participants.filter(
      // What was broken off has no Sync of its own yet.
      (backend) => script.open.has(backend) || (script.error !== null && !backend.free),
    );
    if (script.ending === 'no' && open.length > 0) {
      script.ending = 'started';
      const done = (error: Buffer | null): void => {
        if (script.error === null) script.error = error;
        script.ending = 'done';
        session.operation = null;
        session.resumeSoon();
      };
      endBatchOn(session, open, script.error !== null, done);
      return false;
    }
    this.script = null;
    if (script.error !== null) {
      if (!work.explicit) {
        restoreSettings(session, script.settingsBefore);
        session.listening.endTransaction(false);
      }
      session.writeFailure(script.error);
    } else {
      session.listening.endBatch();
      if (script.tag !== null) writeCommandComplete(session.local, script.tag);
    }
    session.endBatch();
    return true;
  }
}

/** Something must be done before the end of the transaction is answered. */
function mustEndByItself({ catalogStale, listening }: Session): boolean {
  return catalogStale || listening.mustCatchUp;
}

const NO_TYPES: readonly number[] = [];
/** No result formats: everything as text. */
const TEXT_RESULTS: Buffer = Buffer.alloc(2);

interface FilledQuery extends FilledText {
  readonly message: Buffer;
}

/** A Query of this text. */
function queryMessage(text: Buffer): Buffer {
  const message = Buffer.allocUnsafeSlow(text.length + 6);
  message[0] = Frontend.query;
  message.writeInt32BE(text.length + 5, 1);
  message.set(text, 5);
  message[text.length + 5] = 0;
  return message;
}

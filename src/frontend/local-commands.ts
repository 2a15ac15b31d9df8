import { sqlError } from '../errors/sql-error.js';
import { CommitKind } from '../metrics/metrics.js';
import type { LocalCommand, SettingEffect } from '../planner/plan.js';
import { TRANSACTION_SETTINGS } from '../planner/setting-rules.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { skipBlanks } from '../sql/lexer.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { RunOnAll } from '../transaction/run-on-all.js';
import { endBatchOn } from './batch-end.js';
import { runInPipeline } from './fan-out-run.js';
import { applyToAll, markApplied, restoreSettings } from './setting-effects.js';
import { tellWarning } from './notices.js';
import type { Session } from './session.js';
import { isOn } from './shard-use.js';
import { CROSS_SHARD, refusedSetting, settingsSql, settingStatements } from './session-settings.js';

type Done = (outcome: Outcome) => void;
type CommandOf<K extends LocalCommand['kind']> = Extract<LocalCommand, { kind: K }>;

/**
 * Commands that the session carries out itself. `done` is called with the tag or the error, at once or later; false:
 * a backend must be waited for, call again. Throws SqlError where the command is refused.
 */
export function runLocal(
  session: Session,
  command: LocalCommand,
  sql: string,
  done: Done,
): boolean {
  switch (command.kind) {
    case 'begin':
      return begin(session, command, sql, done);
    case 'commit':
    case 'rollback':
      return endTransaction(session, command, done);
    case 'prepareTransaction':
      return prepareTransaction(session, done);
    case 'savepoint':
    case 'release':
    case 'rollbackTo':
      return savepoint(session, command, done);
    case 'set':
      return set(session, command, sql, done);
    case 'constraints':
      return constraints(session, command, sql, done);
    case 'discard':
      return discard(session, command, done);
    case 'deallocate':
      session.extended.sqlStatements.deallocate(command.name);
      done({ ok: true, tag: command.name === null ? 'DEALLOCATE ALL' : 'DEALLOCATE' });
      return true;
    case 'listen':
      session.listening.listen(command.channel, done);
      return true;
    case 'unlisten':
      session.listening.unlisten(command.channel);
      done({ ok: true, tag: 'UNLISTEN' });
      return true;
    case 'prepare':
      return session.extended.sqlStatements.prepare(command, done);
    case 'execute':
      // Bound when there was none: elsewhere it is run as the statement that it names.
      session.extended.statements.named(command.name);
      throw sqlError(
        'feature_not_supported',
        'EXECUTE of a statement that was prepared behind its Bind is not supported',
        { hint: 'Bind it again.' },
      );
  }
}

/** Commands that a failed transaction still takes. */
export function endsFailedTransaction({ kind }: LocalCommand): boolean {
  return ENDS.has(kind);
}

const ENDS: ReadonlySet<LocalCommand['kind']> = new Set([
  'commit',
  'rollback',
  'rollbackTo',
  'prepareTransaction',
]);

/** BEGIN, COMMIT, SAVEPOINT and the like; and DISCARD ALL, which commits. */
export function controlsTransaction(command: LocalCommand): boolean {
  const { kind } = command;
  if (kind === 'discard') return command.what === 'all';
  return ENDS.has(kind) || kind === 'begin' || kind === 'savepoint' || kind === 'release';
}

function begin(session: Session, command: CommandOf<'begin'>, sql: string, done: Done): boolean {
  const { work } = session;
  const tag = beginsWith(sql, 'start') ? 'START TRANSACTION' : 'BEGIN';
  if (work.explicit) {
    // A server warns, and makes the transaction what this says all the same.
    if (command.isolation !== null || command.readOnly !== undefined) {
      throw sqlError(
        'feature_not_supported',
        'BEGIN with modes inside a transaction is not supported',
        {
          hint: 'Use SET TRANSACTION.',
        },
      );
    }
    tellWarning(session, '25001', 'there is already a transaction in progress');
    done({ ok: true, tag });
    return true;
  }
  if (command.readOnly === true) refuseReadOnlyWriters(session);
  // Settings that the Query or pipeline has made are the transaction's: ROLLBACK takes them back.
  const { settingsBefore: before, settings } = session;
  session.settingsAtBegin = before;
  session.told.begin();
  work.begin(sql, command.isolation, command.readOnly);
  if (before !== settings.current) work.remember(settingsSql(before, settings.current));
  const { participants } = work;
  // A pipeline that began without BEGIN becomes the transaction, on every backend it uses.
  if (participants.length === 0) done({ ok: true, tag });
  else {
    runOnParticipants(session, [sql], (outcome) => {
      if (!outcome.ok) undoBegin(session);
      done(outcome);
    });
  }
  return true;
}

/** Servers refuse it behind a query, for its modes: then what came before it fails, outside a transaction as ever. */
function undoBegin(session: Session): void {
  session.work.end();
  session.settingsAtBegin = null;
}

/** Its decision is a row, which one of the writers has to insert at the end. */
function refuseReadOnlyWriters({ work }: Session): void {
  if (work.writers.size < 2) return;
  throw sqlError(
    'feature_not_supported',
    'READ ONLY for a transaction that has written on several shards is not supported',
    { hint: 'COMMIT first.' },
  );
}

function endTransaction(
  session: Session,
  command: CommandOf<'commit' | 'rollback'>,
  done: Done,
): boolean {
  const { work, context } = session;
  const commits = command.kind === 'commit' && !work.failed;
  if (!work.explicit) {
    if (command.chain) {
      const name = command.kind === 'commit' ? 'COMMIT' : 'ROLLBACK';
      throw sqlError(
        'warning_no_active_transaction',
        `${name} AND CHAIN can only be used in transaction blocks`,
      );
    }
    tellWarning(session, '25P01', 'there is no transaction in progress');
    return endImplicit(session, command.kind === 'commit', done);
  }
  // Nobody may take COMMIT's silence for success: ROLLBACK as its tag is for those who have seen the error.
  const untold = command.kind === 'commit' ? work.takeUntold() : null;
  const rolledBack: Outcome =
    untold === null ? { ok: true, tag: 'ROLLBACK' } : { ok: false, error: errorBytes(untold) };
  const { participants } = work;
  // After an error outside of savepoints nothing is left of what the transaction was begun with.
  const afresh = work.failed && work.savepointDepth === 0;
  // One participant begins the next transaction by itself; so does each one after a ROLLBACK.
  const chainsThere = command.chain && (!commits || participants.length === 1);
  const end = (outcome: Outcome): void => {
    const { isolation, readOnly, chainSql } = work;
    if (!commits) session.told.rollBack();
    session.onTransactionEnd(commits && outcome.ok);
    session.planning.overlay.changed();
    work.end();
    if (outcome.ok && command.chain) {
      session.settingsAtBegin = session.settings.current;
      session.told.begin();
      if (afresh) work.begin('BEGIN', null);
      else work.begin(chainSql, isolation, readOnly);
    }
    session.endTransaction(outcome.ok && chainsThere);
  };
  const finish = (outcome: Outcome): void => {
    end(outcome);
    done(outcome);
  };
  const kind = commits ? context.commits.kindOf(session) : CommitKind.rolledBack;
  context.metrics.transactions[kind]!++;
  if (participants.length === 0) {
    finish(commits ? { ok: true, tag: 'COMMIT' } : rolledBack);
    return true;
  }
  if (!commits || chainsThere) {
    // Participants of a transaction that failed by our own word would still commit.
    const tag = commits ? 'COMMIT' : 'ROLLBACK';
    const chained = afresh ? [tag, 'BEGIN'] : [`${tag} AND CHAIN`];
    runOnParticipants(session, command.chain ? chained : [tag], (outcome) => {
      if (!outcome.ok) finish(outcome);
      else finish(commits ? { ok: true, tag } : rolledBack);
    });
    return true;
  }
  session.commitParticipants((outcome) => {
    end(outcome);
    // Those that the pipeline keeps are in the next transaction from its start.
    if (outcome.ok && command.chain && participants.length > 0) beginAnew(session, outcome, done);
    else {
      done(outcome);
      session.resumeSoon();
    }
  });
  return true;
}

/** COMMIT AND CHAIN has committed; one that is lost now is the next statement's to tell. */
function beginAnew(session: Session, committed: Outcome, done: Done): void {
  const { work } = session;
  runAtOnce(session, [work.joinSql()], (begun) => {
    done(begun.ok || work.torn ? committed : begun);
  });
}

/** In a failed transaction it is a ROLLBACK, as in PostgreSQL. Throws SqlError 0A000 elsewhere. */
function prepareTransaction(session: Session, done: Done): boolean {
  if (session.work.failed) {
    return endTransaction(session, { kind: 'rollback', chain: false }, done);
  }
  throw sqlError('feature_not_supported', 'PREPARE TRANSACTION is not supported', {
    hint: 'Shardgate commits over several shards by itself; use COMMIT.',
  });
}

/**
 * COMMIT or ROLLBACK outside BEGIN ends what a script or pipeline has done so far, as PostgreSQL
 * does; what stands behind it is a transaction of its own.
 */
function endImplicit(session: Session, commits: boolean, done: Done): boolean {
  const { work } = session;
  const tag = commits ? 'COMMIT' : 'ROLLBACK';
  if (!commits) restoreSettings(session, session.settingsBefore);
  if (!session.inPipeline || work.participants.length === 0) {
    session.onTransactionEnd(commits);
    session.endTransaction(true);
    done({ ok: true, tag });
    return true;
  }
  endBatchOn(session, [...work.participants], !commits, (error) => {
    session.onTransactionEnd(commits && error === null);
    session.planning.overlay.changed();
    work.end();
    session.endTransaction(true);
    done(error === null ? { ok: true, tag } : { ok: false, error });
    session.resumeSoon();
  });
  return true;
}

function savepoint(
  session: Session,
  command: CommandOf<'savepoint' | 'release' | 'rollbackTo'>,
  done: Done,
): boolean {
  const { work } = session;
  const { kind, name } = command;
  const verb = SAVEPOINT_VERBS[kind];
  if (!work.explicit) {
    throw sqlError(
      'warning_no_active_transaction',
      `${verb.name} can only be used in transaction blocks`,
    );
  }
  if (kind !== 'savepoint' && !work.hasSavepoint(name)) {
    throw sqlError('invalid_savepoint_specification', `savepoint "${name}" does not exist`);
  }
  if (work.torn) {
    const lost =
      'a shard was lost in the middle of the transaction, which can only be rolled back as a whole';
    throw work.takeUntold() ?? sqlError('in_failed_sql_transaction', lost);
  }
  const sql = `${verb.sql} ${quoteIdentifier(name)}`;
  const finish = (outcome: Outcome): void => {
    const { portals } = session.extended;
    if (outcome.ok) {
      if (kind === 'savepoint') {
        const state = { settings: session.settings.current, told: session.told.current };
        work.rememberSavepoint(sql, name, state);
      } else if (kind === 'release') {
        work.release(name);
        portals.endSavepoint(false, work.savepointDepth);
        session.listening.endSavepoint(false, work.savepointDepth);
      } else {
        const state = work.rollBackTo(name)!;
        portals.endSavepoint(true, work.savepointDepth);
        session.listening.endSavepoint(true, work.savepointDepth);
        session.planning.overlay.changed();
        session.pins.rolledBack();
        session.settings.restore(state.settings);
        // Each participant has taken its own back, since it made its changes inside the transaction.
        for (const backend of work.participants) markApplied(session, backend);
        session.told.restore(state.told);
        work.failed = false;
      }
    }
    done(outcome.ok ? { ok: true, tag: verb.tag } : outcome);
  };
  if (work.participants.length === 0) finish({ ok: true, tag: verb.tag });
  else runOnParticipants(session, [sql], finish);
  return true;
}

const SAVEPOINT_VERBS = {
  savepoint: { name: 'SAVEPOINT', sql: 'SAVEPOINT', tag: 'SAVEPOINT' },
  release: { name: 'RELEASE SAVEPOINT', sql: 'RELEASE', tag: 'RELEASE' },
  rollbackTo: { name: 'ROLLBACK TO SAVEPOINT', sql: 'ROLLBACK TO', tag: 'ROLLBACK' },
} as const;

/** SET and RESET: checked by a backend, which also tells the client of changed parameters. */
function set(session: Session, command: CommandOf<'set'>, sql: string, done: Done): boolean {
  const { effect } = command;
  const effects = [effect, ...(command.more ?? [])];
  const { work } = session;
  const { topology } = session.context.config;
  const refusal = refusedSetting(effect.name, effect.value);
  if (refusal !== null) throw refusal;
  if (TRANSACTION_SETTINGS.has(effect.name) && session.extended.pipeline.hasRun && !work.explicit) {
    throw sqlError(
      'feature_not_supported',
      'SET TRANSACTION in a pipeline that has run something, outside BEGIN, is not supported',
      { hint: 'Say BEGIN first.' },
    );
  }
  if (effect.name === CROSS_SHARD && effect.value === 'two_phase') {
    const begun = session.context.commits.want(() => {
      session.resumeSoon();
    });
    if (begun) {
      session.busy = true;
      return false;
    }
  }
  // Whatever backend it gets may know the name already.
  if (effect.value !== null) session.settings.name(effect);
  if (effects.some(makesReadOnly)) refuseReadOnlyWriters(session);
  const joined = work.explicit && work.participants.length > 0;
  const tag = effect.value === null && beginsWith(sql, 'reset') ? 'RESET' : 'SET';
  if (effect.local && work.explicit && !joined) {
    // Nobody to check it yet: every participant runs it when it joins. Behind a savepoint a server says what it takes.
    if (TRANSACTION_SETTINGS.has(effect.name) && work.savepointDepth === 0) {
      rememberTransactionSetting(session, effects, sql);
      done({ ok: true, tag });
      return true;
    }
    const shard = topology.catalogShard;
    if (session.lease(shard) === null) return false;
  } else if (!joined) {
    return setApart(session, effects, tag, sql, done);
  }
  runOnParticipants(session, setTexts(session, effect, sql), (outcome) => {
    if (outcome.ok) {
      if (TRANSACTION_SETTINGS.has(effect.name)) rememberTransactionSetting(session, effects, sql);
      else applyToAll(session, effects);
    }
    done(outcome.ok ? { ok: true, tag } : outcome);
  });
  return true;
}

function makesReadOnly({ name, value }: SettingEffect): boolean {
  return name === 'transaction_read_only' && value !== null && isOn(value);
}

/** Every later participant runs it when it joins. */
function rememberTransactionSetting(
  { work }: Session,
  effects: readonly SettingEffect[],
  sql: string,
): void {
  work.rememberCharacteristic(sql);
  for (const { name, value } of effects) {
    if (name === 'transaction_isolation') work.isolation = value;
    else if (name === 'transaction_read_only') work.readOnly = value === null ? null : isOn(value);
  }
}

/** SET CONSTRAINTS, for every shard of the transaction: those that have joined, and those that will. */
function constraints(
  session: Session,
  { named }: CommandOf<'constraints'>,
  sql: string,
  done: Done,
): boolean {
  const { work } = session;
  const tag = 'SET CONSTRAINTS';
  if (!work.explicit) {
    if (!session.hasRun) {
      tellWarning(session, '25P01', `${tag} can only be used in transaction blocks`);
    }
    done({ ok: true, tag });
    return true;
  }
  const { catalogShard } = session.context.config.topology;
  // Somebody must tell whether those of a list exist.
  if (named && work.participants.length === 0 && session.lease(catalogShard) === null) return false;
  const finish = (outcome: Outcome): void => {
    if (outcome.ok) work.remember(sql);
    done(outcome.ok ? { ok: true, tag } : outcome);
  };
  if (work.participants.length === 0) finish({ ok: true, tag });
  else runOnParticipants(session, [sql], finish);
  return true;
}

/** A setting of the session outside a transaction, or before its first statement: it must not begin one. */
function setApart(
  session: Session,
  effects: readonly SettingEffect[],
  tag: string,
  sql: string,
  done: Done,
): boolean {
  const { work, context } = session;
  const { explicit } = work;
  if (work.participants.length === 0) {
    work.explicit = false;
    try {
      if (session.lease(context.config.topology.catalogShard) === null) return false;
    } finally {
      work.explicit = explicit;
    }
  }
  // In a pipeline that has not said BEGIN, an error behind this undoes it: the backend stays until Sync.
  const stays = session.inPipeline && !explicit;
  const run = stays ? runOnParticipants : runAtOnce;
  const texts = setTexts(session, effects[0]!, sql);
  run(session, texts, (outcome) => {
    if (outcome.ok) applyToAll(session, effects);
    if (!stays) session.releaseAll();
    done(outcome.ok ? { ok: true, tag } : outcome);
  });
  return true;
}

/**
 * What a backend runs for SET or RESET. A RESET goes back to the startup message's value, which the
 * server does not know.
 */
function setTexts(session: Session, effect: SettingEffect, sql: string): readonly string[] {
  const base = session.settings.baseOf(effect);
  // Shards know nothing of what has run elsewhere: to SET LOCAL they would say that there is no transaction.
  const isBlock = session.hasRun && !session.work.explicit;
  const warns = isBlock && effect.local && !TRANSACTION_SETTINGS.has(effect.name);
  return base.size === 0 && !warns ? [sql] : settingStatements(effect, base);
}

function discard(session: Session, command: CommandOf<'discard'>, done: Done): boolean {
  const { what } = command;
  if (what === 'all' && (session.work.explicit || session.isPart || session.hasRun)) {
    throw sqlError('active_sql_transaction', 'DISCARD ALL cannot run inside a transaction block');
  }
  return session.pins.run(DISCARDS[what], (outcome) => {
    if (outcome.ok && what === 'all') {
      session.settings.reset();
      session.told.reset();
      session.extended.sqlStatements.deallocate(null);
      session.listening.unlisten(null);
      // It commits at once, so portals of its pipeline end.
      session.onTransactionEnd(true);
      session.endTransaction(true);
    }
    if (outcome.ok && (what === 'all' || what === 'sequences')) {
      session.planning.ids.sequences.forget();
    }
    done(outcome.ok ? { ok: true, tag: `DISCARD ${what.toUpperCase()}` } : outcome);
  });
}

/** What a backend that the session keeps has to forget. */
const DISCARDS: Readonly<Record<CommandOf<'discard'>['what'], readonly string[]>> = {
  all: ['CLOSE ALL', 'DISCARD TEMP', 'SELECT pg_catalog.pg_advisory_unlock_all()'],
  plans: [],
  sequences: ['DISCARD SEQUENCES'],
  temp: ['DISCARD TEMP'],
};

/**
 * Runs statements without rows on every participant. In a pipeline through the extended protocol, since a Query in the
 * middle of one would commit what came before.
 */
function runOnParticipants(session: Session, texts: readonly string[], done: Done): void {
  if (!session.inPipeline) {
    runAtOnce(session, texts, done);
    return;
  }
  const [sql, ...more] = texts;
  runInPipeline(session, sql!, session.work.participants, (outcome) => {
    if (outcome.ok && more.length > 0) {
      runOnParticipants(session, more, done);
      return;
    }
    done(outcome);
    session.resumeSoon();
  });
}

/** As a simple query, which is over when it is answered. */
function runAtOnce(session: Session, texts: readonly string[], done: Done): void {
  session.busy = true;
  session.operation = new RunOnAll(
    session.work.participants,
    texts.join(';'),
    (buffer, start, end) => {
      session.local.bytes(buffer, start, end);
    },
    (outcome) => {
      done(outcome);
      session.resumeSoon();
    },
  );
}

/** Whether a statement's first word, behind blanks and comments, is this. */
function beginsWith(sql: string, word: string): boolean {
  const bytes = Buffer.from(sql, 'utf8');
  const at = skipBlanks(bytes, 0, bytes.length);
  return at >= 0 && bytes.toString('latin1', at, at + word.length).toLowerCase() === word;
}

import type { BackendConnection } from '../backend/postgres/connection.js';
import { EndBatch } from '../transaction/end-batch.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import type { Session } from './session.js';

/** Whether what ran outside BEGIN has written on several shards, so that Sync to each is no commit of it. */
function needsCommit(work: UnitOfWork): boolean {
  return !work.explicit && work.writers.size > 1;
}

/**
 * Whether the client must have got all answers before what `endBatchOn` sends: another backend than the writer may
 * still fail, which must undo what was written.
 */
export function needsAnswers({ work, extended, settings }: Session): boolean {
  if (needsCommit(work) || work.failed) return true;
  // Nor must a server report the settings that this would take back.
  if (extended.settingsBefore !== settings.current) return true;
  const { current } = extended.pipeline;
  return !work.explicit && work.writers.size > 0 && current !== null && !work.writers.has(current);
}

/**
 * Ends what several backends ran without Sync. Outside BEGIN that commits it, everywhere or nowhere, or rolls it back
 * where it has failed; inside it is only the end of a pipeline. The session is busy until `onDone`, which is called
 * once, with what went wrong now, and never where the session has ended.
 */
export function endBatchOn(
  session: Session,
  open: readonly BackendConnection[],
  failed: boolean,
  onDone: (error: Buffer | null) => void,
): void {
  const { work, context } = session;
  session.busy = true;
  if (failed) {
    const undo = !work.explicit;
    session.operation = EndBatch.rollBack(open, undo, () => onDone(null));
    return;
  }
  if (!needsCommit(work)) {
    const [writer] = work.explicit ? [] : work.writers;
    session.operation = EndBatch.sync(open, writer ?? null, onDone);
    return;
  }
  context.metrics.transactions[context.commits.kindOf(session)]!++;
  session.operation = null;
  context.commits.commit(session, (outcome) => {
    if (!session.over) onDone(outcome.ok ? null : outcome.error);
  });
}

/** Ends what a lost backend was the last to answer: all others go back, and their portals end with that. */
export function answerLost(session: Session): void {
  const { portals } = session.extended;
  portals.rollBack();
  portals.end(true, false);
  session.writeReady();
  session.finishUnit();
}

/** Answers a Sync that no backend has to end anything for; what was noted of its pipeline is void. */
export function answerSync(session: Session): void {
  session.statementFailed = false;
  session.control.reset();
  session.listening.endBatch();
  session.writeReady();
}

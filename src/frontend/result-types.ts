import { DescribeTexts, type Described } from '../executor/describe-texts.js';
import { sameColumns } from '../executor/described-columns.js';
import { sqlError } from '../errors/sql-error.js';
import { REVALIDATE_ROUTINE } from '../protocol/error-routines.js';
import type { ClientStatement } from './client-statement.js';
import type { ExtendedQuery } from './extended-query.js';
import { onlyPlan, type ParseQueue } from './parse-queue.js';
import type { Pipeline } from './pipeline.js';
import type { Session } from './session.js';
import { isShardPlan, type ShardPlan } from './shard-choice.js';

/**
 * A client reads the rows of a prepared statement by the description that it once got. Where the schema has changed
 * since, a shard is asked for the columns that the statement has now, and other ones are refused: a backend that does
 * not know the statement yet would parse it anew, and give them without a word.
 */
export class ResultTypes {
  private readonly session: Session;
  private readonly extended: ExtendedQuery;
  private readonly pipeline: Pipeline;
  private readonly parses: ParseQueue;
  private asked: ClientStatement | null = null;
  private answer: Described | null = null;

  constructor(session: Session, extended: ExtendedQuery, pipeline: Pipeline, parses: ParseQueue) {
    this.session = session;
    this.extended = extended;
    this.pipeline = pipeline;
    this.parses = parses;
  }

  /**
   * Whether a statement in doubt still gives what was described. False: wait; or a shard does not take it any more, and
   * the pipeline is skipped. Throws SqlError 0A000 where it gives something else, as Postgres does.
   * @param describing a Describe is answered, of which the parameters come in any case
   */
  hold(statement: ClientStatement, describing: boolean): boolean {
    const plan = onlyPlan(statement.planned);
    if (!isShardPlan(plan)) return true;
    this.session.control.refuseWhereFailed(plan);
    const { answer } = this;
    if (this.asked !== statement || answer === null) {
      this.ask(statement, plan);
      return false;
    }
    this.asked = null;
    this.answer = null;
    const described = statement.prepared.described!;
    if (answer.ok && sameColumns(described.rows, answer.texts[0]!.message)) {
      statement.inDoubt = false;
      return true;
    }
    if (describing && described.parameters !== null) this.pipeline.reply(described.parameters);
    if (answer.ok) {
      throw sqlError('feature_not_supported', 'cached plan must not change result type', {
        routine: REVALIDATE_ROUTINE,
      });
    }
    this.extended.fail(answer.error);
    return false;
  }

  private ask(statement: ClientStatement, plan: ShardPlan): void {
    const { session, pipeline, parses } = this;
    this.extended.enter();
    if (!pipeline.settled()) return;
    const backend = parses.home(plan);
    if (backend === null) return;
    parses.sendTo(backend);
    this.asked = statement;
    this.answer = null;
    session.busy = true;
    const texts = [statement.text];
    session.operation = DescribeTexts.of(backend, texts, statement.paramTypes, (described) => {
      this.answer = described;
      session.resumeSoon();
    });
  }
}

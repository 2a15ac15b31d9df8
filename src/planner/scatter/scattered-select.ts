import type { SelectStmt } from '@pgsql/types';
import { MAIN_TOKENS_MAX } from '../../sql/parse-limits.js';
import type { Analysis } from '../analysis.js';
import { dealtQuery } from '../deal/dealt-query.js';
import { gatherQuery } from '../gather/gather-query.js';
import type { Level } from '../model.js';
import { tablesOf, type Placement } from '../placement.js';
import type { GatherSpec, ManyShards, Refusal, ShardSelector, SpreadSpec } from '../plan.js';
import { refuse } from '../refusals.js';
import { isLikelyOne, putTogether, type Together } from '../routing.js';
import { driverShards } from '../selectors.js';
import { spreadQuery } from '../spread/spread-query.js';
import { splitQuery, splitUnion, type Split, type SplitQuery } from '../splitting.js';
import type { StatementContext } from '../statement-context.js';
import { shippedQuery } from '../ship/shipped-query.js';
import { aggregateQuery } from './aggregate-query.js';
import { distinctQuery } from './distinct-query.js';
import { mergedRows } from './merge.js';
import { tellsMoment } from './moment.js';
import { ScatterContext } from './scatter-context.js';

/** A SELECT over several shards: its rows are put together, merged, or gathered on one server. */
export class ScatteredSelect implements Together {
  readonly #scatter: ScatterContext;
  readonly #gather: () => GatherSpec;
  readonly #spread: () => SpreadSpec;
  readonly #putsOff: boolean;
  readonly #tellsMoment: boolean;
  readonly #atHome: boolean;
  readonly #opensCursor: boolean;
  readonly #standsIn: boolean;
  readonly #move: (gather: GatherSpec) => ManyShards | null;

  /** `putsOff`: where values lead to one shard as a rule, the plan for several is made when it is needed. */
  constructor(
    statement: SelectStmt,
    top: Level,
    analysis: Analysis,
    context: StatementContext,
    putsOff = false,
  ) {
    this.#scatter = new ScatterContext(statement, top, analysis, context);
    const shared = !context.knowsValues && context.literals.count > 0;
    // It must be a text that is planned at once.
    const short = context.end - context.start < MAIN_TOKENS_MAX;
    this.#putsOff = putsOff && shared && short && analysis.params.count === 0;
    this.#atHome = context.cursor === 'home';
    this.#opensCursor = context.cursor !== undefined;
    this.#tellsMoment = tellsMoment({ SelectStmt: statement }, analysis);
    this.#standsIn = context.standsIn === true;
    this.#gather = () => {
      if (this.#standsIn) refuseWhole();
      return { ...gatherQuery(statement, analysis, context), tellsMoment: this.#tellsMoment };
    };
    const moves = !this.#tellsMoment && context.cursor === undefined && !this.#standsIn;
    this.#move = (gather) => {
      if (!moves) return null;
      const shipped = shippedQuery(statement, gather, analysis, context);
      return shipped ?? dealtQuery(statement, gather, analysis, context);
    };
    const node = { SelectStmt: statement };
    this.#spread = () => spreadQuery(node, null, tablesOf(analysis), analysis, context);
  }

  ofRows(_split: SplitQuery, shards: ShardSelector): ManyShards {
    const { top, analysis } = this.#scatter;
    // Rows that are gone over backward, or kept, must be somewhere.
    if (this.#tellsMoment || this.#atHome) return { kind: 'gather', gather: this.#gather() };
    if (!top.ordered && !top.limited && !this.#standsIn) return putTogether(top);
    if (this.#putsOff && isLikelyOne(shards)) return { kind: 'replan' };
    const many = mergedRows(this.#scatter, shards, this.#gather);
    if (top.limited && analysis.levels.some(({ locking }) => locking)) this.#checkLocks(many);
    return many ?? { kind: 'gather', gather: this.#gather() };
  }

  /** The shards lock more rows than are in the result, so it must be possible to take some back. */
  #checkLocks(many: ManyShards | null): void {
    const { statement, top, analysis } = this.#scatter;
    const waits = (statement.lockingClause ?? []).every(
      (node) => 'LockingClause' in node && node.LockingClause.waitPolicy !== 'LockWaitError',
    );
    const able =
      many?.kind === 'merge' &&
      !many.merge.withTies &&
      waits &&
      !this.#opensCursor &&
      analysis.levels.every((level) => level === top || !level.locking);
    if (!able) refuseLocks();
  }

  ofTables(_problem: Refusal, placement: Placement | null, shards: ShardSelector): ManyShards {
    if (this.#putsOff && isLikelyOne(shards)) return { kind: 'replan' };
    if (this.#scatter.analysis.nestedWrites > 0) return { kind: 'spread', spread: this.#spread() };
    const inParts = placement !== null && !this.#tellsMoment;
    const scattered = inParts ? this.#inParts(placement) : null;
    if (scattered !== null) return { kind: 'gather', gather: scattered };
    const gather = this.#gather();
    return this.#move(gather) ?? { kind: 'gather', gather };
  }

  /** Where shards can do a part of the work: group rows, or make them distinct. */
  #inParts(placement: Placement): GatherSpec | null {
    const { top, analysis } = this.#scatter;
    if (analysis.levels.some(({ locking }) => locking)) return null;
    const shardsOf = (split: Split | null): ShardSelector | null =>
      split?.kind === 'split' ? driverShards(split, analysis) : null;
    if (top.operation !== null || top.distinct) {
      const rows =
        top.operation === null
          ? splitQuery(top, placement, analysis, 'distinct')
          : splitUnion(top, placement, analysis);
      const shards = shardsOf(rows);
      if (shards !== null) return distinctQuery(this.#scatter, shards);
    }
    return aggregateQuery(this.#scatter, () =>
      shardsOf(splitQuery(top, placement, analysis, 'grouping')),
    );
  }
}

/** Never told to a client: another way is taken. */
function refuseWhole(): never {
  refuse('the rows of all shards are needed in one place', '');
}

function refuseLocks(): never {
  refuse(
    'row locks with LIMIT, OFFSET or FETCH over several shards are not supported in this form: ' +
      'each shard would lock rows that are not in the result',
    'Sort by columns, without NOWAIT, WITH TIES and cursors; or bind the shard key.',
  );
}

import type { SelectStmt } from '@pgsql/types';
import type { Analysis } from '../analysis.js';
import { gatherQuery } from '../gather/gather-query.js';
import type { Level } from '../model.js';
import type { GatherSpec, ManyShards, ShardSelector } from '../plan.js';
import { refuse } from '../refusals.js';
import { putTogether, type Together } from '../routing.js';
import type { SplitQuery } from '../splitting.js';
import type { StatementContext } from '../statement-context.js';
import { mergedRows } from './merge.js';
import { ScatterContext } from './scatter-context.js';

/** A SELECT over several shards: its rows are put together, merged, or gathered on one server. */
export class ScatteredSelect implements Together {
  readonly #scatter: ScatterContext;
  readonly #gather: () => GatherSpec;

  constructor(statement: SelectStmt, top: Level, analysis: Analysis, context: StatementContext) {
    this.#scatter = new ScatterContext(statement, top, analysis, context);
    this.#gather = () => gatherQuery(statement, top, analysis, context);
  }

  ofRows(_split: SplitQuery, shards: ShardSelector): ManyShards {
    const { top, analysis } = this.#scatter;
    if (!top.ordered && !top.limited) return putTogether(top);
    if (top.limited && analysis.levels.some(({ locking }) => locking)) refuseLocks();
    const merged =
      top.countsOnly && !top.grouped ? null : mergedRows(this.#scatter, shards, this.#gather);
    return merged ?? { kind: 'gather', gather: this.#gather() };
  }

  ofTables(): ManyShards {
    return { kind: 'gather', gather: this.#gather() };
  }
}

function refuseLocks(): never {
  refuse(
    'row locks with LIMIT, OFFSET or FETCH over several shards are not supported: each shard ' +
      'would lock rows that are not in the result',
    'Bind the shard key to a value, or lock the rows by their keys.',
  );
}

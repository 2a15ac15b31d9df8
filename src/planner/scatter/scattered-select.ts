import type { SelectStmt } from '@pgsql/types';
import type { Analysis } from '../analysis.js';
import { gatherQuery } from '../gather/gather-query.js';
import type { Level } from '../model.js';
import type { ManyShards } from '../plan.js';
import { putTogether, type Together } from '../routing.js';
import type { StatementContext } from '../statement-context.js';

/** A SELECT over several shards: its rows are put together, merged, or gathered on one server. */
export class ScatteredSelect implements Together {
  readonly #statement: SelectStmt;
  readonly #top: Level;
  readonly #analysis: Analysis;
  readonly #context: StatementContext;

  constructor(statement: SelectStmt, top: Level, analysis: Analysis, context: StatementContext) {
    this.#statement = statement;
    this.#top = top;
    this.#analysis = analysis;
    this.#context = context;
  }

  ofRows(): ManyShards {
    const top = this.#top;
    if (!top.ordered && !top.limited) return putTogether(top);
    return this.#gather();
  }

  ofTables(): ManyShards {
    return this.#gather();
  }

  #gather(): ManyShards {
    const gather = gatherQuery(this.#statement, this.#top, this.#analysis, this.#context);
    return { kind: 'gather', gather };
  }
}

import type { SelectStmt } from '@pgsql/types';
import type { FinalPiece } from '../plan.js';
import { COMBINE, type Combination } from './partial-outputs.js';
import type { ScatterContext } from './scatter-context.js';

const INPUT = 'sg_input';

/** The final statement over one input `t`, written with placeholders and cut into pieces. */
export class FinalText {
  readonly #scatter: ScatterContext;
  readonly #combinations: readonly Combination[];

  constructor(scatter: ScatterContext, combinations: readonly Combination[]) {
    this.#scatter = scatter;
    this.#combinations = combinations;
  }

  /** `clauses` over the input, `cut` behind them; null where they cannot be written. */
  pieces(clauses: SelectStmt, cut: string): FinalPiece[] | null {
    const reserved = JSON.stringify(this.#scatter.statement);
    if (reserved.includes(COMBINE) || reserved.includes(INPUT)) return null;
    const text = this.#scatter.write({
      SelectStmt: {
        ...clauses,
        fromClause: [
          {
            RangeVar: {
              relname: INPUT,
              inh: true,
              relpersistence: 'p',
              alias: { aliasname: 't' },
            },
          },
        ],
        limitOption: 'LIMIT_OPTION_DEFAULT',
        op: 'SETOP_NONE',
      },
    });
    return text === null ? null : this.#cut(text + cut);
  }

  #cut(text: string): FinalPiece[] {
    // Words between brackets are kept by split: the input's name, and numbers of combinations.
    const parts = text.split(new RegExp(`\\b(${INPUT})\\b|\\b${COMBINE}(\\d+)\\(\\)`));
    const pieces: FinalPiece[] = [];
    for (let i = 0; i < parts.length; i += 3) {
      pieces.push(parts[i]!);
      if (parts[i + 1] !== undefined) pieces.push({ kind: 'input', input: 0 });
      if (parts[i + 2] !== undefined) this.#combine(Number(parts[i + 2]), pieces);
    }
    return pieces;
  }

  /** In brackets, since it is an expression where a call stood. */
  #combine(index: number, pieces: FinalPiece[]): void {
    const { aggregate, columns } = this.#combinations[index]!;
    pieces.push('(', { kind: 'combine', aggregate, input: 0, alias: 't', columns }, ')');
  }
}

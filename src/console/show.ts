import type { ColumnOf } from './column.js';
import type { ConsoleCommand, ConsoleRole } from './command.js';
import type { ConsoleContext } from './console-context.js';
import { readClauses } from './show-clauses.js';

export interface ShowOptions<Item> {
  /** What stands behind SHOW, in upper case. */
  readonly name: string;
  readonly help: string;
  /** Left out: whoever may use the console. */
  readonly access?: ConsoleRole;
  readonly columns: readonly ColumnOf<Item>[];
  /** What there is to show, a row each. */
  readonly items: (context: ConsoleContext) => Iterable<Item> | Promise<Iterable<Item>>;
}

/** A command `SHOW name [WHERE condition] [ORDER BY column, ...] [LIMIT n]`. */
export function showCommand<Item>(options: ShowOptions<Item>): ConsoleCommand {
  const { name, help, access = 'monitor', columns, items } = options;
  const words = ['SHOW', ...name.split(' ')];
  return {
    words,
    usage: '[WHERE ...] [ORDER BY ...] [LIMIT n]',
    help,
    access,
    prepare: async (text, context) => {
      const clauses = await readClauses(text.from(words.length), columns, context.parser);
      return {
        tag: 'SHOW',
        columns,
        paramCount: clauses.paramCount,
        run: async (params) => {
          const rows = Array.from(await items(context), (item) =>
            columns.map((column) => column.of(item)),
          );
          return clauses.apply(rows, params);
        },
      };
    },
  };
}

import { sqlError } from '../errors/sql-error.js';
import type { CommandText } from './command-text.js';
import { NO_ROWS, type ConsoleCommand } from './command.js';
import type { ConsoleContext } from './console-context.js';

export interface ActionOptions {
  /** In upper case; the tag of its answer too. */
  readonly name: string;
  /** What may stand behind the name, as `[shard]`; left out: nothing. */
  readonly usage?: string;
  readonly help: string;
  /** What stands behind the name, as names or strings; no more than `argumentsMax` and no fewer than `argumentsMin`. */
  readonly argumentsMin?: number;
  readonly argumentsMax?: number;
  readonly run: (context: ConsoleContext, args: readonly string[]) => void | Promise<void>;
}

/** A command for admins that does something and answers no rows. */
export function actionCommand(options: ActionOptions): ConsoleCommand {
  const { name, usage = '', help, run, argumentsMin = 0, argumentsMax = argumentsMin } = options;
  const words = name.split(' ');
  return {
    words,
    usage,
    help,
    access: 'admin',
    prepare: (text, context) => {
      const args = argumentsOf(text, words.length);
      if (args.length < argumentsMin || args.length > argumentsMax) {
        throw sqlError('syntax_error', `usage: ${`${name} ${usage}`.trim()}`);
      }
      return {
        tag: words[0]!,
        columns: null,
        paramCount: 0,
        run: async () => {
          await run(context, args);
          return NO_ROWS;
        },
      };
    },
  };
}

function argumentsOf(text: CommandText, from: number): string[] {
  return Array.from({ length: text.wordCount - from }, (_, index) => text.value(from + index)!);
}

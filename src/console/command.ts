import type { Column, Row } from './column.js';
import type { CommandText } from './command-text.js';
import type { ConsoleContext } from './console-context.js';
import type { Params } from './operand.js';

/** Who may use the console: an admin may do everything, a monitor may look. */
export type ConsoleRole = 'admin' | 'monitor';

/** A command of the console. Each stands in a file of its own and has a line in `registry.ts`. */
export interface ConsoleCommand {
  /** The words that it begins with, in upper case: `['SHOW', 'POOLS']`. */
  readonly words: readonly string[];
  /** What stands behind the words, for SHOW HELP; empty: nothing. */
  readonly usage: string;
  readonly help: string;
  /** The least role that may run it. */
  readonly access: ConsoleRole;
  /** Reads the command. Throws SqlError where it is wrong. A promise only for texts of unusual size. */
  prepare(text: CommandText, context: ConsoleContext): PreparedCommand | Promise<PreparedCommand>;
}

/** A command that was read and may be run, several times in the extended protocol. */
export interface PreparedCommand {
  readonly tag: string;
  /** Null: it answers no rows. */
  readonly columns: readonly Column[] | null;
  /** Highest `$n` used. All parameters are text. */
  readonly paramCount: number;
  /** Throws (or rejects with) SqlError. Whoever cancels it hears so at once; what it waits for is not undone. */
  run(params: Params, watch: RunWatch): readonly Row[] | Promise<readonly Row[]>;
}

/** What a command that takes its time has to do with whoever waits for it. */
export interface RunWatch {
  /** Sends a NOTICE. */
  readonly tell: (progress: string) => void;
  /** Aborted once nobody waits any more: the command is to stop before its next step. */
  readonly signal: AbortSignal;
}

export const NO_ROWS: readonly Row[] = [];

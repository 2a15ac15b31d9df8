import { NO_ROWS, type ConsoleCommand } from '../command.js';

/** Drivers say it around every command; there is nothing that could be taken back. */
function transactionCommand(word: 'BEGIN' | 'COMMIT' | 'ROLLBACK'): ConsoleCommand {
  return {
    words: [word],
    usage: '',
    help: 'Does nothing, for drivers that send it',
    access: 'monitor',
    prepare: () => ({ tag: word, columns: null, paramCount: 0, run: () => NO_ROWS }),
  };
}

export const begin = transactionCommand('BEGIN');
export const commit = transactionCommand('COMMIT');
export const rollback = transactionCommand('ROLLBACK');

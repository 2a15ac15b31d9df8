import { sqlError } from '../../errors/sql-error.js';
import { NO_ROWS, type ConsoleCommand } from '../command.js';

/** What drivers and psql set by themselves when they connect. The console has no use for them. */
const SESSION_SETTINGS: ReadonlySet<string> = new Set([
  'application_name',
  'bytea_output',
  'client_encoding',
  'client_min_messages',
  'datestyle',
  'extra_float_digits',
  'idle_in_transaction_session_timeout',
  'intervalstyle',
  'lock_timeout',
  'search_path',
  'session',
  'standard_conforming_strings',
  'statement_timeout',
  'synchronize_seqscans',
  'time',
  'timezone',
  'transaction',
]);

export const set: ConsoleCommand = {
  words: ['SET'],
  usage: 'name = value',
  help: 'Settings of a session are taken and ignored',
  access: 'monitor',
  prepare: (text) => {
    const name = text.value(1) ?? '';
    if (!SESSION_SETTINGS.has(name)) {
      throw sqlError('feature_not_supported', `"${name}" cannot be set on the console`, {
        hint: 'SET takes limits, pool, transactions, routing, log and drain_timeout; change others in the file, and RELOAD.',
      });
    }
    return { tag: 'SET', columns: null, paramCount: 0, run: () => NO_ROWS };
  },
};

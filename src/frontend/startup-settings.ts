import { sqlError, SqlError } from '../errors/sql-error.js';
import { readOptions } from '../protocol/startup.js';

/**
 * Settings that a session begins with, by lower-case name: those of the startup message, in front of those in its
 * `options`, in front of the user's own.
 */
export function startupSettings(
  parameters: ReadonlyMap<string, string>,
  ofUser: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> | SqlError {
  const options = readOptions(parameters.get('options') ?? '');
  if (options instanceof SqlError) return options;
  const settings = new Map([...ofUser, ...options]);
  for (const [name, value] of parameters) {
    if (name === 'user' || name === 'database' || name === 'options') continue;
    if (name === 'replication') {
      if (!/^(false|off|no|0)$/i.test(value)) {
        return sqlError('feature_not_supported', 'replication connections are not supported', {
          hint: 'Connect to a shard directly.',
        });
      }
      continue;
    }
    settings.set(name.toLowerCase(), value);
  }
  return settings;
}

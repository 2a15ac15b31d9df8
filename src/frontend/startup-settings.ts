import { sqlError, SqlError } from '../errors/sql-error.js';
import { readOptions } from '../protocol/startup.js';

/** Settings of a startup message by lower-case name; those of `options` give way to the others. */
export function startupSettings(
  parameters: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> | SqlError {
  const options = readOptions(parameters.get('options') ?? '');
  if (options instanceof SqlError) return options;
  const settings = new Map(options);
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

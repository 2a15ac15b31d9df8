import type { ConsoleContext } from './console-context.js';

/** What a client is told when no shard has been reached yet: the newest release whose protocol the console speaks. */
const SERVER_VERSION = '18.0';

/** ParameterStatus values of a console: those that PostgreSQL reports, of use or not. */
export function serverParameters(
  { proxy }: ConsoleContext,
  user: string,
  applicationName: string,
): ReadonlyMap<string, string> {
  const known = proxy.serverParameters();
  return new Map([
    ['server_version', known.get('server_version') ?? SERVER_VERSION],
    ['server_encoding', 'UTF8'],
    ['client_encoding', 'UTF8'],
    ['application_name', applicationName],
    ['default_transaction_read_only', 'off'],
    ['in_hot_standby', 'off'],
    ['integer_datetimes', 'on'],
    ['is_superuser', 'off'],
    ['session_authorization', user],
    ['standard_conforming_strings', 'on'],
    ['scram_iterations', '4096'],
    ['search_path', ''],
    ['DateStyle', 'ISO, MDY'],
    ['IntervalStyle', 'postgres'],
    ['TimeZone', 'UTC'],
  ]);
}

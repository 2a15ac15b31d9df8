import { CONSOLE_DATABASE, type Config, type UserConfig } from '../config/config.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { SocketTransport } from '../net/transport.js';
import { networkHas, parseAddress, parseNetwork } from '../net/address.js';
import type { Logger } from '../util/logger.js';
import type { Cancellable } from './cancel-keys.js';

/** What the listener knows of whoever is logged in on the console. */
export interface ConsoleClient extends Cancellable {
  onBytes(buffer: Buffer, start: number, end: number): void;
  /** Says what a server says behind the login. `key`: with which it can be cancelled. */
  welcome(authenticationOk: Buffer, key: { readonly pid: number; readonly secret: Buffer }): void;
}

/** Someone who has logged in to the console. */
export interface Visitor {
  readonly user: string;
  readonly role: 'admin' | 'monitor';
  readonly applicationName: string;
  readonly transport: SocketTransport;
  readonly logger: Logger;
  readonly onClosed: () => void;
}

/** Begins a console on a connection; the composition root gives it, since consoles stand above this folder. */
export type OpenConsole = (visitor: Visitor) => ConsoleClient;

/**
 * What a user may do on the console. Without a list of users everybody who comes from this machine is an admin.
 * SqlError 42501: nothing.
 * @param address null: a Unix socket
 */
export function consoleRole(
  { auth }: Config,
  user: UserConfig | null,
  address: string | null,
): 'admin' | 'monitor' | SqlError {
  if (auth.users.size === 0) {
    if (address === null || isLoopback(address)) return 'admin';
    return refusal('Without a list of users the console is for clients of this machine.');
  }
  const allowed = user?.databases?.includes(CONSOLE_DATABASE) !== false;
  if (allowed && (user?.role === 'admin' || user?.role === 'monitor')) return user.role;
  return refusal('The console is for users of the role admin or monitor.');
}

function refusal(detail: string): SqlError {
  return sqlError(
    'insufficient_privilege',
    `permission denied for database "${CONSOLE_DATABASE}"`,
    {
      detail,
    },
  );
}

function isLoopback(address: string): boolean {
  const bytes = parseAddress(address);
  return bytes !== null && LOOPBACK.some((network) => networkHas(network, bytes));
}

const LOOPBACK = ['127.0.0.0/8', '::1'].map((text) => parseNetwork(text)!);

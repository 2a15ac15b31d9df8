import type { Cancellable } from './cancel-keys.js';
import type { Session } from './session.js';

/** One connection of a client, as it was when it logged in. */
export interface ClientInfo {
  /** Counts connections since the start; the same as `connection` in the log. */
  readonly id: number;
  readonly user: string;
  readonly database: string;
  readonly applicationName: string;
  /** Null: a Unix socket. */
  readonly address: string | null;
  /** The client's; 0: a Unix socket. */
  readonly port: number;
  readonly localAddress: string | null;
  readonly localPort: number;
  /** Version and cipher, as `TLSv1.3/TLS_AES_256_GCM_SHA384`; null: none. */
  readonly tls: string | null;
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
}

/** What the sockets of a connection say of it. */
export type ConnectionInfo = Pick<
  ClientInfo,
  'id' | 'address' | 'port' | 'localAddress' | 'localPort' | 'connectedAt'
>;

/** Someone who is logged in. */
export interface ListedClient {
  readonly info: ClientInfo;
  /** Null: it is on the console. */
  readonly session: Session | null;
  readonly target: Cancellable;
}

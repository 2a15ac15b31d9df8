import type { WireClient } from './wire-client.js';

/**
 * What a client sends up to one ReadyForQuery. Every row of the answer begins with the client's token, or tells
 * nothing of whose it is where `untold`.
 */
export interface Exchange {
  /** How many statements are answered where nothing goes wrong. */
  readonly completes: number;
  /** For people. */
  readonly what: string;
  /** The transaction statuses that may come behind an answer without an error; absent: that of before. */
  readonly leaves?: string;
  /** Statuses that may come behind an error; absent: I outside of a transaction and E inside. */
  readonly leavesFailed?: string;
  /** The rows have no token. */
  readonly untold?: boolean;
  send(client: WireClient, token: string): void;
}

/** A statement whose rows begin with the token. */
export type SqlOf = (token: string) => string;

export function simple(
  completes: number,
  sqlOf: SqlOf,
  more: Pick<Exchange, 'leaves' | 'leavesFailed' | 'untold'> = {},
): Exchange {
  return {
    completes,
    what: sqlOf('token'),
    send: (client, token) => client.query(sqlOf(token)),
    ...more,
  };
}

export function pipeline(...sqls: readonly SqlOf[]): Exchange {
  return {
    completes: sqls.length,
    what: `pipeline of ${sqls.map((sqlOf) => sqlOf('token')).join('; ')}`,
    send: (client, token) => {
      for (const sqlOf of sqls) {
        client.parse(sqlOf(token));
        client.bind();
        client.describe('P');
        client.execute();
      }
      client.sync();
    },
  };
}

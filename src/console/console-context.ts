import type { ListedClient } from '../frontend/client-info.js';
import type { SessionContext } from '../frontend/session-context.js';
import type { Parser } from '../sql/parser.js';

/** What the commands of the console look at and act on. */
export interface ConsoleContext {
  readonly proxy: SessionContext;
  readonly parser: Parser;
  /** Everybody who is logged in, consoles too. */
  readonly clients: () => Iterable<ListedClient>;
  /** Reads the configuration file again; resolves to what is wrong with it. */
  readonly reload: () => Promise<readonly string[]>;
  /** Release of Shardgate. */
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

import type { AuditHost } from '../executor/audit/audit-host.js';
import type { Placements } from '../executor/audit/placements.js';
import type { TierKeeper } from '../executor/directories/tier-keeper.js';
import type { ListedClient } from '../frontend/client-info.js';
import type { SessionContext } from '../frontend/session-context.js';
import type { Parser } from '../sql/parser.js';
import type { StatsHistory } from './stats-history.js';
import type { InDoubtLeg } from '../transaction/in-doubt.js';

/** What the commands of the console look at and act on. */
export interface ConsoleContext {
  readonly proxy: SessionContext;
  readonly parser: Parser;
  /** Everybody who is logged in, consoles too. */
  readonly clients: () => Iterable<ListedClient>;
  /** Transactions over several shards that are prepared now. */
  readonly inDoubt: () => Promise<readonly InDoubtLeg[]>;
  /** Reads the configuration file again; resolves to what is wrong with it. */
  readonly reload: () => Promise<readonly string[]>;
  /**
   * Changes a setting (`limits.max_clients`) until the file is read again; `value` as the file would have it. Resolves
   * to what is wrong with it.
   */
  readonly set: (
    key: string,
    value: string,
  ) => Promise<{ readonly message: string; readonly cure: string } | null>;
  /** Whether new clients are let in. */
  readonly door: { disabled: boolean };
  readonly stats: StatsHistory;
  /** Connections to the shards for audits and repairs. */
  readonly auditLinks: AuditHost['links'];
  readonly crash: AuditHost['crash'];
  readonly placements: Pick<Placements, 'otherwise' | 'settle'>;
  readonly tiers: Pick<TierKeeper, 'list'>;
  /** Stops the proxy, as a signal does. `waitForClients`: only when all have left by themselves. */
  readonly shutDown: (waitForClients: boolean) => void;
  /** Release of Shardgate. */
  readonly version: string;
}

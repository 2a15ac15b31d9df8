import { errorField, type Logger } from '../../util/logger.js';
import { InternalQuery } from '../internal-query.js';
import type { Pool } from '../pool.js';
import type { BackendConnection } from '../postgres/connection.js';
import { OidMap } from './oid-map.js';
import { serverOidsOf, serverOidsQuery, type ServerOids } from './server-oids.js';

/** A list of 10,000 tables takes a server 50 ms; DDL is not answered before. */
const TIMEOUT_MS = 5_000;

/** What a round of questions has found; nothing has changed before `apply`. */
export interface FreshOids {
  /** Some shard's differences from the catalog shard are not what they were. */
  readonly changed: boolean;
  apply(): void;
}

/**
 * Keeps every pool's map of OIDs. A pool lends no backend before its server's OIDs are known, also
 * after it could not be reached for a while.
 */
export class ClusterOids {
  private readonly known = new WeakMap<Pool, ServerOids>();
  private readonly logger: Logger;
  /** The catalog shard's; null: not known yet, and there are no clients. */
  private catalog: ServerOids | null = null;

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** Makes the pool ask its server first. */
  watch(pool: Pool): void {
    pool.firstTask = (backend) => {
      this.ask(pool, backend);
    };
  }

  /** Asks all servers. Rejects where the catalog shard fails; others keep what is known of them. */
  async read(pools: readonly Pool[], catalogPool: Pool): Promise<FreshOids> {
    const answers = await Promise.all(
      pools.map(async (pool) => {
        try {
          return serverOidsOf(await InternalQuery.run(pool, serverOidsQuery, TIMEOUT_MS));
        } catch (error) {
          if (pool === catalogPool) throw error;
          pool.firstTaskDone = false;
          return this.known.get(pool) ?? null;
        }
      }),
    );
    const catalog = answers[pools.indexOf(catalogPool)]!;
    const maps = answers.map((oids) => (oids === null ? null : OidMap.between(catalog, oids)));
    return {
      changed: pools.some((pool, i) => !same(pool.oids, maps[i]!)),
      apply: () => {
        this.catalog = catalog;
        pools.forEach((pool, i) => {
          const oids = answers[i]!;
          // It may have connected meanwhile, where it could not be asked before.
          if (oids === null) this.update(pool);
          else this.learn(pool, oids);
        });
      },
    };
  }

  /** What tells the pool's server from others; null: not known. */
  serverOf(pool: Pool): string | null {
    return this.known.get(pool)?.startedAt ?? null;
  }

  private ask(pool: Pool, backend: BackendConnection): void {
    InternalQuery.runOn(pool, backend, serverOidsQuery, TIMEOUT_MS, {
      onRows: (rows) => {
        pool.firstTaskDone = true;
        this.learn(pool, serverOidsOf(rows));
      },
      onFailed: (error) => {
        this.logger.warn(
          { shard: pool.shard.name, ...errorField(error) },
          'the OIDs of user-defined types cannot be read; clients see those that are known',
        );
      },
    });
  }

  private learn(pool: Pool, oids: ServerOids): void {
    this.known.set(pool, oids);
    this.update(pool);
  }

  private update(pool: Pool): void {
    const { catalog } = this;
    const oids = this.known.get(pool);
    if (catalog !== null && oids !== undefined) pool.oids = OidMap.between(catalog, oids);
  }
}

function same(a: OidMap | null, b: OidMap | null): boolean {
  return a === null ? b === null : a.equals(b);
}

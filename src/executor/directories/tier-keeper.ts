import type { Catalog } from '../../keyspace/catalog.js';
import type { KeyDirectory } from '../../keyspace/key-directory.js';
import { homeOf, type Topology } from '../../keyspace/topology.js';
import type { Metrics } from '../../metrics/metrics.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import { errorField, type Logger } from '../../util/logger.js';
import type { AuditHost } from '../audit/audit-host.js';
import { isBusy } from './move-key.js';
import { isDue, movePeriods, readPeriods, type PeriodMove, type PeriodPlace } from './periods.js';

/** How often it is looked whether a directory's interval has passed. */
const TICK_MS = 500;
const LIST_TIMEOUT_MS = 10_000;
/** What a run gets to end when the proxy stops. */
const STOP_MS = 5000;

export interface TierKeeperHost {
  readonly links: Pick<OwnLinks, 'query' | 'session'>;
  readonly topology: () => Topology;
  readonly catalog: () => Catalog;
  readonly queueTimeoutMs: () => number;
  readonly directories: AuditHost['directories'];
  readonly crash: AuditHost['crash'];
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Moves periods that have grown too old for their tier (`tiered`), again and again. Several proxies may do so: one at a
 * time works at a directory, and goes on where another one was cut off.
 */
export class TierKeeper {
  private readonly host: TierKeeperHost;
  private readonly nextAt = new WeakMap<KeyDirectory, number>();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private abort = new AbortController();
  private stopped = false;

  constructor(host: TierKeeperHost) {
    this.host = host;
  }

  start(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.lookAtAll().finally(() => this.start());
    }, TICK_MS);
    this.timer.unref();
  }

  /** The configuration has changed: what is at work for the old one stops before its next step. */
  follow(): void {
    this.abort.abort(new Error('the configuration has changed'));
    this.abort = new AbortController();
  }

  /** Resolves when nothing is at work any more, or would take too long to stop. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.abort.abort(new Error('the proxy stops'));
    let limit: NodeJS.Timeout | undefined;
    await Promise.race([
      this.running,
      new Promise<void>((resolve) => (limit = setTimeout(resolve, STOP_MS))),
    ]);
    clearTimeout(limit);
  }

  /** The periods of a directory, as its table has them now. */
  async list(directory: KeyDirectory): Promise<PeriodPlace[]> {
    const { links, topology } = this.host;
    const home = homeOf(topology(), directory.table);
    return readPeriods((sql) => links.query(home, sql, LIST_TIMEOUT_MS), directory);
  }

  /** Never rejects. */
  private async lookAtAll(): Promise<void> {
    const { signal } = this.abort;
    for (const directory of this.host.topology().directories) {
      const { periods, table } = directory;
      if (periods === null || signal.aborted) continue;
      if ((this.nextAt.get(directory) ?? -Infinity) > performance.now()) continue;
      const log = this.host.logger.child({ table: `${table.schema}.${table.name}` });
      try {
        await this.lookAt(directory, signal, log);
      } catch (error) {
        if (!signal.aborted && !isBusy(error)) {
          log.warn(errorField(error), 'periods that are due cannot be moved now');
        }
      }
      this.nextAt.set(directory, performance.now() + periods.intervalMs);
    }
  }

  private async lookAt(directory: KeyDirectory, signal: AbortSignal, log: Logger): Promise<void> {
    const { links, topology, catalog, directories, crash, queueTimeoutMs } = this.host;
    if (!(await this.list(directory)).some(isDue)) return;
    const host: AuditHost = {
      ...{ links, directories, crash, signal },
      topology: topology(),
      catalog: catalog(),
      tell: (progress) => log.debug({ progress }, 'moving a period'),
    };
    await movePeriods(host, directory, queueTimeoutMs(), (move) => this.note(move, log));
  }

  private note({ label: period, from, to, rows, failure }: PeriodMove, log: Logger): void {
    const { metrics } = this.host;
    if (failure === null) {
      metrics.periodsMoved++;
      log.info({ period, from, to, rows }, 'a period has moved');
    } else {
      metrics.periodMovesFailed++;
      log.warn({ period, from, to, ...errorField(failure) }, 'a period could not be moved');
    }
  }
}

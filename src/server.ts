import { startHttp, type HttpListener } from './admin/http.js';
import { Cluster } from './backend/cluster.js';
import { DdlJobs } from './executor/ddl-jobs/ddl-jobs.js';
import { Ids } from './executor/ids/ids.js';
import { Directories } from './executor/directories/directories.js';
import { TierKeeper } from './executor/directories/tier-keeper.js';
import { Placements } from './executor/audit/placements.js';
import { LookupKeeper } from './executor/lookups/lookup-keeper.js';
import { LookupReader } from './executor/lookups/lookup-reader.js';
import { KeySamples } from './executor/key-samples.js';
import { loadCatalog } from './backend/catalog-loader.js';
import { withTableRows } from './backend/table-rows.js';
import type { FreshOids } from './backend/oids/cluster-oids.js';
import { PreparedTexts } from './backend/postgres/prepared-text.js';
import { SchemaWatch } from './backend/schema/schema-watch.js';
import type { Config } from './config/config.js';
import { differences } from './config/differences.js';
import { needsRestart } from './config/fixed-settings.js';
import type { ConfigSource } from './config/source.js';
import { formatProblem, type ConfigProblem } from './config/problems.js';
import { watchConfig, type ConfigWatch } from './config/watch.js';
import type { ConsoleContext } from './console/console-context.js';
import { ConsoleSession } from './console/console-session.js';
import { StatsHistory } from './console/stats-history.js';
import { CancelKeys } from './frontend/cancel-keys.js';
import { Listener } from './frontend/listener.js';
import { Notifications } from './frontend/notifications.js';
import type { SessionContext } from './frontend/session-context.js';
import type { Catalog } from './keyspace/catalog.js';
import type { Topology } from './keyspace/topology.js';
import { Metrics } from './metrics/metrics.js';
import { Planner } from './planner/planner.js';
import { Parser } from './sql/parser.js';
import { crashHook } from './transaction/crash-points.js';
import { OwnLinks } from './transaction/own-links.js';
import { TwoPhase } from './transaction/two-phase.js';
import type { UnitOfWork } from './transaction/unit-of-work.js';
import { errorField, type Logger } from './util/logger.js';
import { packageVersion } from './util/package-version.js';

const CATALOG_TIMEOUT_MS = 30_000;
/** Who builds a lookup has one for its lock, one for a snapshot, one for rows, and one for entries. */
const BUILD_LINKS = 4;
/** DDL through this proxy is seen at once; what others do to the schema, within this time. */
const CATALOG_REFRESH_MS = 60_000;
/**
 * What a new connection of this role has, by what stands nearest to it; backends that are open keep what they began
 * with.
 */
const DEFAULT_ISOLATION_SQL = `
SELECT coalesce((
  SELECT o.option_value
  FROM pg_catalog.pg_db_role_setting s, LATERAL pg_catalog.pg_options_to_table(s.setconfig) o
  WHERE o.option_name = 'default_transaction_isolation'
    AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))
    AND s.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = session_user))
  ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1), reset_val)
FROM pg_catalog.pg_settings WHERE name = 'default_transaction_isolation'`;
/** How often a start without shards is tried again. */
const RETRY_MS = 500;

/** Wires the parts together; the only place that knows all concrete classes. */
export class Server {
  private config: Config;
  /** Of the configuration that the proxy was started with. */
  private readonly started: ConfigSource;
  private readonly file: string;
  private readonly logger: Logger;
  private readonly metrics = new Metrics();
  private cluster: Cluster | null = null;
  private twoPhase: TwoPhase | null = null;
  private idLinks: OwnLinks | null = null;
  private readonly placements: Placements;
  private schemas: SchemaWatch | null = null;
  private ddlLinks: OwnLinks | null = null;
  private ids: Ids | null = null;
  private readonly lookupLinks: OwnLinks;
  private readonly buildLinks: OwnLinks;
  private readonly auditLinks: OwnLinks;
  private readonly lookups: LookupKeeper;
  private readonly directories: Directories;
  private readonly crash = crashHook(process.env);
  private readonly tierLinks: OwnLinks;
  private readonly tiers: TierKeeper;
  private listener: Listener | null = null;
  private http: HttpListener | null = null;
  private watch: ConfigWatch | null = null;
  private parser: Parser | null = null;
  private planner: Planner | null = null;
  private context: SessionContext | null = null;
  private catalog: Catalog | null = null;
  private catalogVersion = 0;
  private catalogLoadedAt = 0;
  private catalogProblem: string | null = 'not loaded yet';
  private parameters: ReadonlyMap<string, string> = new Map();
  private isolation = '';
  private loading: Promise<void> | null = null;
  private loadAgain = false;
  private catalogTimer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(config: Config, file: string, logger: Logger) {
    this.config = config;
    this.started = config.source;
    this.file = file;
    this.logger = logger;
    this.lookupLinks = new OwnLinks(() => this.config, logger, 'lookups');
    this.buildLinks = new OwnLinks(() => this.config, logger, 'lookup builds', BUILD_LINKS);
    this.directories = new Directories(
      (shard, sql, timeoutMs) => this.lookupLinks.query(shard, sql, timeoutMs),
      () => this.config.topology,
      logger,
    );
    this.auditLinks = new OwnLinks(() => this.config, logger, 'audit');
    this.tierLinks = new OwnLinks(() => this.config, logger, 'tiers');
    this.tiers = new TierKeeper({
      links: this.tierLinks,
      topology: () => this.config.topology,
      catalog: () => this.catalog!,
      queueTimeoutMs: () => this.config.pool.queueTimeoutMs,
      ...{ directories: this.directories, crash: this.crash, metrics: this.metrics, logger },
    });
    this.placements = new Placements({
      query: (shard, sql, timeoutMs) => this.lookupLinks.query(shard, sql, timeoutMs),
      topology: () => this.config.topology,
      catalog: () => this.catalog!,
      metrics: this.metrics,
      logger,
    });
    this.lookups = new LookupKeeper({
      links: { looking: this.lookupLinks, building: this.buildLinks },
      crash: this.crash,
      topology: () => this.config.topology,
      logger,
      onReady: () => void this.reloadCatalog(),
    });
  }

  /** Resolves when clients can connect. Rejects where an address cannot be had. */
  async start(): Promise<void> {
    const { config, logger, metrics } = this;
    this.parser = await Parser.create();
    this.cluster = new Cluster(config, metrics, logger);
    this.cluster.warmUp();
    if (config.http !== null) {
      const { host, port } = config.http;
      const isReady = (): { ready: boolean; reasons: readonly string[] } => this.readiness();
      this.http = await startHttp({ host, port, metrics, isReady, log: logger });
    }
    const units = (): Iterable<UnitOfWork> => this.listener?.units() ?? [];
    this.twoPhase = new TwoPhase(() => this.config, units, logger, process.env);
    const twoPhase = this.twoPhase;
    metrics.leftBehind = () => twoPhase.leftBehind;
    const catalog = await this.firstCatalog();
    await this.twoPhase.start();
    const links = (this.idLinks = new OwnLinks(() => this.config, logger, 'ids'));
    this.ids = new Ids(
      (shard, sql, timeoutMs) => links.query(shard, sql, timeoutMs),
      () => this.config.topology.catalogShard,
      logger,
    );
    await this.directories.start();
    const { ddlJobs, schemas } = this.schemaParts();
    this.planner = new Planner(this.parser, config.topology, catalog, metrics);
    this.context = {
      config,
      cluster: this.cluster,
      planner: this.planner,
      texts: new PreparedTexts(),
      metrics,
      logger,
      cancels: new CancelKeys(),
      commits: this.twoPhase.commits,
      notifications: new Notifications(() => this.config, logger),
      ids: this.ids,
      ddlJobs,
      schemas,
      lookups: new LookupReader(
        (shard, sql, timeoutMs) => this.lookupLinks.query(shard, sql, timeoutMs),
        () => this.config.topology,
      ),
      directories: this.directories,
      keySamples: new KeySamples(),
      reloadCatalog: () => this.reloadCatalog(),
      catalogAgeMs: () => performance.now() - this.catalogLoadedAt,
      defaultIsolation: () => this.isolation,
      serverParameters: () => this.parameters,
    };
    // Another release of the server may have other system schemas.
    this.catalogTimer = setInterval(() => void this.reloadCatalog(true), CATALOG_REFRESH_MS);
    this.catalogTimer.unref();
    this.listener = new Listener(this.context, (visitor) => new ConsoleSession(console, visitor));
    const console = this.consoleContext(this.context, this.listener);
    const port = await this.listener.listen();
    this.startKeepers(this.context);
    this.watch = watchConfig(
      this.file,
      {
        onConfig: (next) => {
          this.apply(next);
        },
        onProblems: (error) => {
          const problems = error.problems.map(formatProblem);
          logger.error({ problems }, 'the new configuration cannot be used; the old one stays');
        },
      },
      { version: config.topology.version, files: config.source.files },
    );
    logger.info(
      {
        hosts: config.listen.hosts,
        ...(config.listen.unixSocket !== null && { unixSocket: config.listen.unixSocket }),
        port,
        http: this.http?.port,
        shards: config.topology.shards.length,
      },
      'listening',
    );
  }

  /** What is done by itself, now and then. */
  private startKeepers({ ddlJobs, schemas }: Pick<SessionContext, 'ddlJobs' | 'schemas'>): void {
    void ddlJobs.report();
    schemas.look();
    this.placements.look();
    this.tiers.start();
  }

  /** Resolves to what is wrong with the file, which then changes nothing. */
  async reload(): Promise<readonly string[]> {
    const error = (await this.watch?.reload()) ?? null;
    return error === null ? [] : error.problems.map(formatProblem);
  }

  /** Changes a setting until the file is read again. Resolves to what is wrong with the value, and what to write. */
  private async set(key: string, value: string): Promise<ConfigProblem | null> {
    const error = (await this.watch?.set(key, value)) ?? null;
    return error === null ? null : error.problems[0]!;
  }

  /** What looks after the schema on all shards, over connections of its own. */
  private schemaParts(): Pick<SessionContext, 'ddlJobs' | 'schemas'> {
    const { logger, metrics } = this;
    const ddlLinks = (this.ddlLinks = new OwnLinks(() => this.config, logger, 'ddl'));
    const query: OwnLinks['query'] = (shard, sql, timeoutMs) =>
      ddlLinks.query(shard, sql, timeoutMs);
    const topology = (): Topology => this.config.topology;
    const schemas = (this.schemas = new SchemaWatch({
      topology,
      query,
      metrics,
      logger,
      onUneven: () => void this.reloadCatalog(),
    }));
    const ddlJobs = new DdlJobs({ topology, query, logger });
    return { ddlJobs, schemas };
  }

  /** Lets transactions end within the drain timeout, then closes everything. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.watch?.close();
    clearInterval(this.catalogTimer);
    await this.listener?.drain(this.config.drainTimeoutMs);
    this.context?.notifications.close();
    this.cluster?.destroy();
    await this.tiers.stop();
    this.twoPhase?.stop();
    this.ids?.stop();
    this.idLinks?.close();
    this.schemas?.stop();
    this.ddlLinks?.close();
    this.lookups.stop();
    this.placements.stop();
    this.directories.stop();
    this.lookupLinks.close();
    this.buildLinks.close();
    this.auditLinks.close();
    this.tierLinks.close();
    await this.http?.close();
    await this.parser?.close();
    this.logger.info('stopped');
  }

  private apply(config: Config): void {
    const before = this.config;
    this.tiers.follow();
    this.config = config;
    this.context!.config = config;
    // Plans name shards of the topology that they were made for: both change in one step.
    this.cluster!.update(config);
    this.context!.notifications.follow();
    this.planner!.update(config.topology, this.catalog!);
    void this.reloadCatalog(true);
    this.placements.look();
    this.logger.level = config.log.level;
    const changes = differences(before.source, config.source);
    this.logger.info({ version: config.topology.version, changes }, 'configuration applied');
    if (!changes.some(needsRestart)) return;
    // Against what runs: a change that was taken back needs no start.
    const waiting = differences(this.started, config.source).filter(needsRestart);
    if (waiting.length > 0) {
      this.logger.warn({ changes: waiting }, 'these changes take effect at the next start');
    }
  }

  /** Waits for the shards as long as it takes: a proxy may be started before its databases. */
  private async firstCatalog(): Promise<Catalog> {
    for (let attempt = 0; ; attempt++) {
      try {
        const { catalog, oids } = await this.load(null);
        this.catalogProblem = null;
        oids.apply();
        this.catalog = catalog;
        return catalog;
      } catch (error) {
        this.catalogProblem = (error as Error).message;
        if (attempt % 20 === 0) {
          this.logger.warn({ reason: this.catalogProblem }, 'waiting for the catalog shard');
        }
        if (this.stopped) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** `base`: an earlier catalog of the same server, of which the system schemas are believed. */
  private async load(base: Catalog | null): Promise<{ catalog: Catalog; oids: FreshOids }> {
    const cluster = this.cluster!;
    const shard = this.config.topology.catalogShard;
    this.parameters = await cluster.parameters(shard, CATALOG_TIMEOUT_MS);
    const version = ++this.catalogVersion;
    const [schema, isolation] = await cluster.inTurn(shard, CATALOG_TIMEOUT_MS, (query) =>
      Promise.all([loadCatalog(query, version, base), query(DEFAULT_ISOLATION_SQL)]),
    );
    const oids = await cluster.readOids(shard);
    await cluster.readTableRows();
    this.isolation = isolation[0]?.[0] ?? '';
    this.catalogLoadedAt = performance.now();
    const uneven = this.schemas?.uneven;
    const compared = uneven === undefined || uneven.size === 0 ? schema : { ...schema, uneven };
    const known = await this.lookups.look(compared, base === null);
    return { catalog: withTableRows(known, cluster.tableRows(), this.catalog), oids };
  }

  /** One load at a time; who asks while one runs gets the next, which sees its changes. */
  private reloadCatalog(full = false): Promise<void> {
    if (this.loading !== null) {
      this.loadAgain = true;
      return this.loading;
    }
    this.loading = this.loadUntilCurrent(full).finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  private async loadUntilCurrent(full: boolean): Promise<void> {
    do {
      this.loadAgain = false;
      try {
        // DDL may have restarted sequences, or made others of their names.
        if (!full) this.ids!.disturb();
        const { catalog, oids } = await this.load(full ? null : this.catalog);
        this.catalogProblem = null;
        oids.apply();
        this.schemas?.look();
        // The same schema again: plans and prepared statements stay.
        if (oids.changed || this.catalog === null || !sameSchema(catalog, this.catalog)) {
          this.catalog = catalog;
          this.planner!.update(this.config.topology, catalog);
        }
        this.placements.look();
      } catch (error) {
        this.catalogProblem = (error as Error).message;
        this.logger.error(errorField(error), 'the catalog cannot be loaded; the old one stays');
      }
    } while (this.loadAgain);
  }

  private consoleContext(proxy: SessionContext, listener: Listener): ConsoleContext {
    return {
      proxy,
      parser: this.parser!,
      clients: () => listener.clients(),
      door: listener,
      stats: new StatsHistory(this.metrics),
      inDoubt: () => this.twoPhase!.inDoubt(),
      auditLinks: this.auditLinks,
      crash: this.crash,
      tiers: this.tiers,
      placements: this.placements,
      reload: () => this.reload(),
      set: (key, value) => this.set(key, value),
      shutDown: (waitForClients) => {
        const ready = waitForClients ? listener.emptied() : Promise.resolve();
        // The same way as from outside, behind the answer of the command.
        void ready.then(() => setImmediate(() => process.kill(process.pid, 'SIGTERM')));
      },
      version: packageVersion(),
    };
  }

  private readiness(): { ready: boolean; reasons: readonly string[] } {
    const reasons = (this.cluster?.problems() ?? []).map(
      ({ shard, reason }) => `shard "${shard}": ${reason}`,
    );
    if (this.catalogProblem !== null) reasons.push(`catalog: ${this.catalogProblem}`);
    if (this.context === null) reasons.push('starting');
    if (this.stopped) reasons.push('stopping');
    return { ready: reasons.length === 0, reasons };
  }
}

/** Whether two loads of the catalog say the same. */
function sameSchema(a: Catalog, b: Catalog): boolean {
  return fingerprint(a) === fingerprint(b);
}

function fingerprint(catalog: Catalog): string {
  return JSON.stringify({ ...catalog, version: 0 }, (_key, value: unknown) => {
    if (value instanceof Map) return [...(value as Map<unknown, unknown>)];
    return value instanceof Set ? [...(value as Set<unknown>)] : value;
  });
}

/** Smallest and largest value that the configuration takes, both inclusive. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

const SECOND_MS = 1000;
const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;

/**
 * setTimeout fires at once above 2^31 - 1 ms (Node 20, timers), so that is the longest time
 * anything may take: 596 h.
 */
const LONGEST_MS = 2 ** 31 - 1;

/** Every numeric bound of the configuration. Durations in ms, sizes in bytes. */
export const limits = {
  /** A configuration of 10,000 tables takes some 600 kB; above 4 MB the file is not ours. */
  configFileBytes: { min: 0, max: 4 * MB },
  /** TCP; 0 lets the system choose a free port. */
  listenPort: { min: 0, max: 65_535 },
  serverPort: { min: 1, max: 65_535 },
  /** NAMEDATALEN - 1 (PostgreSQL 18, pg_config_manual.h): longer names would be cut by Postgres. */
  nameBytes: { min: 1, max: 63 },
  /** MAX_BACKENDS of PostgreSQL 18 (postmaster.h): 2^18 - 1 connections per server. */
  poolSize: { min: 1, max: 2 ** 18 - 1 },
  /** None: sessions that wait for each other's backends wait in vain. */
  poolReserve: { min: 0, max: 1000 },
  /** Who is last waits for all the others; more would save little. */
  poolBatch: { min: 1, max: 64 },
  shardWeight: { min: 1, max: 1000 },
  /** fs.nr_open of Linux is 2^20 by default: no process has more sockets. */
  maxClients: { min: 1, max: 2 ** 20 },
  /**
   * Statements per backend; each takes some 10 kB there, so the upper bound is 1 GB of a server's
   * memory.
   */
  preparedPerBackend: { min: 1, max: 100_000 },
  /** Statements per client; each takes about 1 kB here. */
  preparedPerClient: { min: 1, max: 1_000_000 },
  /** Portals per client; each takes about 1 kB here, and 8 kB in a server. */
  portalsPerClient: { min: 1, max: 100_000 },
  /** Below 10 ms a loaded event loop gives up on what would have worked. */
  timeout: { min: 10, max: LONGEST_MS },
  /** 0 turns it off. */
  timeoutOrNone: { min: 0, max: LONGEST_MS },
  /** More often than once a second checks would be load of their own. */
  healthCheckInterval: { min: SECOND_MS, max: LONGEST_MS },
  /** 0 stops at once. */
  drainTimeout: { min: 0, max: LONGEST_MS },
  /** One frame of COPY data is 64 kB; a gather smaller than that cannot hold one. */
  gatherMemory: { min: 64 * KB, max: 1024 * GB },
  /** 0 turns it off; the upper bound is what a table of 8 kB pages holds of the smallest rows. */
  gatherRows: { min: 0, max: 10 ** 12 },
  /**
   * From the read buffer (a startup packet is at most 10,000 bytes) to what Postgres allocates: 1
   * GB - 1 (MaxAllocSize).
   */
  messageSize: { min: 16 * KB, max: GB - 1 },
} as const satisfies Record<string, Bounds>;

/**
 * Defaults of the configuration file, in the file's own notation, so that the published schema
 * shows them as written.
 */
export const defaults = {
  listenHost: '127.0.0.1',
  /** PgBouncer's port: tools know it as that of a pooler. */
  listenPort: 6432,
  /** Whoever is on this machine, as PostgreSQL has it; rules decide further. */
  unixSocketMode: '0777',
  /** Next to Prometheus's own exporters. */
  httpPort: 9400,
  /** What psql and most tools connect to when nobody told them anything else. */
  database: 'postgres',
  poolSize: 10,
  poolReserve: 2,
  poolBatch: 8,
  queueTimeout: '5s',
  idleTimeout: '10m',
  maxLifetime: '1h',
  connectTimeout: '5s',
  healthCheckInterval: '30s',
  preparedPerBackend: 200,
  maxClients: 10_000,
  gatherMemory: '64MB',
  gatherRows: 0,
  gatherTimeout: '0',
  statementTimeout: '0',
  loginTimeout: '15s',
  messageSize: '256MB',
  idleInTransactionTimeout: '0',
  idleSessionTimeout: '0',
  transactionTimeout: '0',
  stalledClientTimeout: '0',
  preparedPerClient: 5000,
  portalsPerClient: 1000,
  drainTimeout: '30s',
  logLevel: 'info',
  crossShard: 'two_phase',
  scatter: 'on',
  snapshots: 'refuse',
  workers: 1,
} as const;

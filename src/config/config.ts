import type { Topology } from '../keyspace/topology.js';

/**
 * The configuration file, validated, defaults filled in, secrets resolved. Deep-frozen. Durations
 * in ms, sizes in bytes.
 */
export interface Config {
  readonly listen: { readonly host: string; readonly port: number; readonly tls: TlsConfig | null };
  /** Null: no HTTP listener. */
  readonly http: { readonly host: string; readonly port: number } | null;
  /** The name clients connect to. */
  readonly database: string;
  readonly auth: {
    readonly method: 'trust' | 'md5' | 'scram-sha-256' | 'cert';
    readonly users: ReadonlyMap<string, UserConfig>;
  };
  readonly pool: {
    /** Backends per shard and role. */
    readonly size: number;
    readonly queueTimeoutMs: number;
    readonly idleTimeoutMs: number;
    readonly maxLifetimeMs: number;
    readonly connectTimeoutMs: number;
    readonly healthCheckIntervalMs: number;
    /** Statements kept prepared per backend. */
    readonly preparedStatementsMax: number;
  };
  readonly limits: {
    readonly maxClients: number;
    readonly gatherMemoryBytes: number;
    /** 0: none. */
    readonly statementTimeoutMs: number;
    readonly loginTimeoutMs: number;
    readonly messageBytesMax: number;
    /** 0: none. */
    readonly idleInTransactionTimeoutMs: number;
    /** 0: none. */
    readonly idleSessionTimeoutMs: number;
    /** 0: none. */
    readonly transactionTimeoutMs: number;
    /** How long a client may take nothing of its answer; 0: for ever. */
    readonly stalledClientTimeoutMs: number;
    readonly preparedStatementsPerClient: number;
    /** Named portals and cursors. */
    readonly portalsPerClient: number;
  };
  readonly transactions: {
    /** What a session has until it sets `shardgate.cross_shard`. */
    readonly crossShard: 'two_phase' | 'best_effort' | 'refuse';
    /** Whether transactions that promise one snapshot may have one of each shard instead. */
    readonly snapshots: 'refuse' | 'per_shard';
  };
  readonly log: { readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent' };
  /** 1, or the number of cores for `auto`. */
  readonly workers: number;
  readonly drainTimeoutMs: number;
  readonly topology: Topology;
  /** By `Shard.index`. */
  readonly servers: readonly ShardServers[];
}

export interface TlsConfig {
  readonly mode: 'disable' | 'prefer' | 'require';
  /** PEM contents. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

export interface UserConfig {
  readonly name: string;
  /** Plain text or a SCRAM-SHA-256 / md5 verifier as in pg_authid; null with trust. */
  readonly password: string | null;
  readonly role: 'admin' | 'monitor' | 'app';
}

export interface ShardServers {
  readonly primary: ServerAddress;
  readonly replicas: readonly ServerAddress[];
}

/**
 * From `postgres://user:password@host:port/database?sslmode=...`; a host that starts with `/` is a
 * socket directory.
 */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  readonly sslmode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** PEM contents; null: the authorities that Node.js trusts. */
  readonly sslRootCert: string | null;
  /** PEM contents of the client certificate that the server is shown, and its key; both or none. */
  readonly sslCert: string | null;
  readonly sslKey: string | null;
  /** Whether SCRAM is bound to the TLS channel. */
  readonly channelBinding: 'disable' | 'prefer' | 'require';
}

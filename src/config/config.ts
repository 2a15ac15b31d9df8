import type { Topology } from '../keyspace/topology.js';
import type { Network } from '../net/address.js';
import type { ConfigSource } from './source.js';

/** The name of the console's own database, which no cluster may have (`psql shardgate`). */
export const CONSOLE_DATABASE = 'shardgate';
/** What tools for PgBouncer ask for: the console too, where no cluster has this name. */
const CONSOLE_ALIAS = 'pgbouncer';

/** Whether clients that ask for this database want the console. */
export function isConsole(name: string, { database }: Config): boolean {
  return name === CONSOLE_DATABASE || (name === CONSOLE_ALIAS && database !== CONSOLE_ALIAS);
}

/**
 * The configuration file, validated, defaults filled in, secrets resolved. Deep-frozen. Durations
 * in ms, sizes in bytes.
 */
export interface Config {
  readonly listen: ListenConfig;
  /** Null: no HTTP listener. */
  readonly http: { readonly host: string; readonly port: number } | null;
  /** The name clients connect to. */
  readonly database: string;
  readonly auth: AuthConfig;
  readonly pool: {
    /** Backends per shard and role. */
    readonly size: number;
    /** How many sessions may have one more in each pool, where they would wait for each other. */
    readonly reserve: number;
    /** How many reads of different sessions may travel together. */
    readonly batchMax: number;
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
    /** 0: any number. */
    readonly gatherRowsMax: number;
    /** 0: none. */
    readonly gatherTimeoutMs: number;
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
  readonly source: ConfigSource;
}

export interface ListenConfig {
  /** Names or addresses; `*` is every address of this machine. May be empty where there is a Unix socket. */
  readonly hosts: readonly string[];
  /** One for all of them, and part of the Unix socket's name. */
  readonly port: number;
  /** Absolute path of the folder of the Unix socket; null: none. */
  readonly unixSocket: string | null;
  /** Permissions of the Unix socket. */
  readonly unixSocketMode: number;
  /** Minor version of the oldest protocol 3 that clients may speak. */
  readonly minProtocol: 0 | 2;
  readonly tls: TlsConfig | null;
}

export interface TlsConfig {
  /** verify-ca, verify-full: as require, and clients must show a certificate; verify-full: one of their user. */
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** PEM contents. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | null;
}

export type AuthMethod = 'trust' | 'md5' | 'scram-sha-256' | 'cert';

export interface AuthConfig {
  /** Of rules that name none. */
  readonly method: AuthMethod;
  readonly users: ReadonlyMap<string, UserConfig>;
  /** The first one that fits decides; none fits: refused. */
  readonly rules: readonly AuthRule[];
}

/** A line of what pg_hba.conf is to PostgreSQL. */
export interface AuthRule {
  readonly type: 'local' | 'host' | 'hostssl' | 'hostnossl';
  readonly databases: readonly NamePattern[];
  readonly users: readonly NamePattern[];
  /** Of `local` none is looked at. */
  readonly addresses: readonly ('all' | 'samehost' | 'samenet' | Network)[];
  readonly method: AuthMethod | 'reject';
  /** Users by the name in a certificate; null: the names are equal. */
  readonly map: readonly NameMapping[] | null;
  /** What certificate is asked for beside the method. */
  readonly clientCert: 'verify-ca' | 'verify-full' | null;
}

export type NamePattern =
  | { readonly kind: 'all' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'regex'; readonly regex: RegExp }
  /** Of users: whoever has this role. */
  | { readonly kind: 'role'; readonly role: UserConfig['role'] };

/** One line of what pg_ident.conf is to PostgreSQL. */
export interface NameMapping {
  /** The whole name, or what must be found in it. */
  readonly certificate: string | RegExp;
  /** `all`, or a name in which `\1` stands for the first group of `certificate`. */
  readonly user: string;
}

export interface UserConfig {
  readonly name: string;
  /** Plain text or a SCRAM-SHA-256 / md5 verifier as in pg_authid; null: no password lets the user in. */
  readonly password: string | null;
  readonly role: 'admin' | 'monitor' | 'app';
  /** What the user may connect to; null: everything. */
  readonly databases: readonly string[] | null;
  /** Values that settings have at login, by lower-case name. */
  readonly settings: ReadonlyMap<string, string>;
  /** ms since 1970; the password is good until then. Null: for ever. */
  readonly validUntil: number | null;
  /** Sessions at a time; null: no limit of its own. */
  readonly maxClients: number | null;
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

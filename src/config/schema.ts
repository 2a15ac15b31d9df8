import { defaults, limits } from './limits.js';
import {
  choice,
  duration,
  integer,
  keyRange,
  moment,
  pemFile,
  secret,
  settingValue,
  size,
  text,
  workers,
  yesOrNo,
} from './scalars.js';
import { serverUrl } from './server-url.js';
import { defaulted, list, object, oneOrMore, optional, record, required, section } from './spec.js';
import { TABLE_NAME } from './table-name.js';
import { vindexSpec } from './vindexes.js';

/*
 * The configuration file, key by key: validation and the published JSON Schema are both made from
 * this description. What one value cannot know of another (key ranges that tile, names that must
 * exist) is checked in keyspaces.ts and access.ts.
 */

/**
 * Names of keyspaces, shards and vindexes: they become metric labels, log fields and words of
 * console commands.
 */
const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const name = (what: string) =>
  text({
    what: `${what}: letters, digits, _ and -, not starting with a digit`,
    pattern: NAME,
    bytes: limits.nameBytes,
  });
/** What Postgres calls an identifier: any text, spelled as \d shows it. */
const identifier = (what: string) => text({ what, bytes: limits.nameBytes });
const host = text({ what: 'a host name or an address', pattern: /^([A-Za-z0-9._:%-]+|[*])$/ });

const tls = object({
  mode: defaulted(
    choice(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']),
    'disable: none; prefer: clients may use TLS; require: they must; verify-ca: with a certificate; verify-full: of their user',
    'prefer',
  ),
  cert: optional(pemFile('the certificate'), 'PEM file: the certificate and its chain'),
  key: optional(pemFile('the private key'), 'PEM file: the private key'),
  client_ca: optional(pemFile('the client CA'), 'PEM file: who signs client certificates'),
  min_version: defaulted(
    choice(['TLSv1.2', 'TLSv1.3']),
    'Oldest version of TLS that clients may speak',
    'TLSv1.2',
  ),
});

const listen = object({
  host: defaulted(
    oneOrMore('host names or addresses', host),
    'Addresses that clients connect to; *: every address of this machine',
    [defaults.listenHost],
    defaults.listenHost,
  ),
  port: defaulted(
    integer(limits.listenPort, 'a port'),
    'Port that clients connect to; 0: any free one',
    defaults.listenPort,
  ),
  unix_socket: optional(
    text({ what: 'a folder' }),
    'Folder of a Unix socket; its name there is .s.PGSQL.PORT',
  ),
  unix_socket_mode: defaulted(
    text({ what: 'permissions in octal, in quotes: "0770"', pattern: /^0?[0-7]{3}$/ }),
    'Who may connect to the Unix socket',
    defaults.unixSocketMode,
  ),
  min_protocol: defaulted(
    choice(['3.0', '3.2']),
    'Oldest protocol that clients may speak; 3.2 has longer keys for cancel requests',
    '3.0',
  ),
  tls: optional(tls, 'TLS for clients; left out: none'),
});

const http = object({
  host: defaulted(host, 'Address of /metrics, /healthz and /readyz', defaults.listenHost),
  port: defaulted(integer(limits.listenPort, 'a port'), 'Port; 0: any free one', defaults.httpPort),
});

/** Of PostgreSQL, extensions' own included. */
export const SETTING_NAME = /^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)*$/;

const user = object({
  name: required(identifier('the name the user logs in with'), 'Login name', 'write name: NAME'),
  password: optional(
    secret('the password'),
    'Plain text, a SCRAM-SHA-256 or md5 verifier, ${NAME} or file:PATH',
  ),
  role: defaulted(
    choice(['admin', 'monitor', 'app']),
    'app: runs statements; monitor: reads the console as well; admin: all of the console',
    'app',
  ),
  databases: optional(
    oneOrMore('database names', identifier('a database name')),
    'What the user may connect to; left out: everything',
  ),
  settings: defaulted(
    record('setting', SETTING_NAME.source, settingValue()),
    'Values that settings have at login, as ALTER ROLE ... SET gives them',
    new Map(),
  ),
  valid_until: optional(moment(), 'When the password expires; left out: never'),
  max_clients: optional(
    integer(limits.maxClients, 'a number of clients'),
    'Sessions of this user at a time; left out: limits.max_clients is all there is',
  ),
});

const namePattern = (what: string) => text({ what });

const rule = object({
  type: required(
    choice(['local', 'host', 'hostssl', 'hostnossl']),
    'local: Unix socket; host: TCP; hostssl: with TLS only; hostnossl: without TLS only',
    'write type: host',
  ),
  database: defaulted(
    oneOrMore('database names', namePattern('all, a name or /regular expression')),
    'all, names, or /regular expressions',
    ['all'],
    'all',
  ),
  user: defaulted(
    oneOrMore('user names', namePattern('all, a name, +role or /regular expression')),
    'all, names, +role, or /regular expressions',
    ['all'],
    'all',
  ),
  address: defaulted(
    oneOrMore('addresses', text({ what: 'all, samehost, samenet, an address or a network' })),
    'all, samehost, samenet, addresses, or networks such as 10.0.0.0/8',
    ['all'],
    'all',
  ),
  method: optional(
    choice(['trust', 'reject', 'md5', 'scram-sha-256', 'cert']),
    'How these clients prove who they are; left out: auth.method',
  ),
  map: optional(name('the name of a map'), 'Of auth.maps: which users a certificate stands for'),
  clientcert: optional(
    choice(['verify-ca', 'verify-full']),
    'The certificate that hostssl asks for beside the method; verify-full: one of the user',
  ),
});

const mapping = object({
  certificate: required(
    text({ what: 'a common name or /regular expression' }),
    'Common name of the certificate, or /regular expression',
    'write certificate: NAME',
  ),
  user: required(
    text({ what: 'a user name' }),
    'Who may log in with it; \\1: what the first group found; all: everybody',
    'write user: NAME',
  ),
});

const auth = object({
  method: optional(
    choice(['trust', 'md5', 'scram-sha-256', 'cert']),
    'How clients prove who they are; left out: trust, while listening on loopback only',
  ),
  map: optional(name('the name of a map'), 'Of maps: which users a certificate stands for'),
  rules: optional(
    list('rules', rule, { whenEmpty: rule.empty }),
    'Who may come from where, and how; the first that fits decides. Left out: everybody, by method',
  ),
  maps: defaulted(
    record('map', NAME.source, list('mappings', mapping, { whenEmpty: mapping.empty })),
    'Which users the names in certificates stand for',
    new Map(),
  ),
  users: defaulted(list('users', user, { whenEmpty: user.empty }), 'Who may log in', []),
});

const pool = object({
  size: defaulted(
    integer(limits.poolSize, 'a number of connections'),
    'Backends per shard and role',
    defaults.poolSize,
  ),
  reserve: defaulted(
    integer(limits.poolReserve, 'a number of sessions'),
    'How many sessions may have one backend more in each pool, where they wait for the backends of each other',
    defaults.poolReserve,
  ),
  batch: defaulted(
    integer(limits.poolBatch, 'a number of statements'),
    'How many short reads of different clients go to one backend in one write; 1: none together',
    defaults.poolBatch,
  ),
  queue_timeout: defaulted(
    duration(limits.timeout),
    'How long a statement waits for a free backend',
    5000,
    defaults.queueTimeout,
  ),
  idle_timeout: defaulted(
    duration(limits.timeout),
    'Backends unused for this long are closed',
    600_000,
    defaults.idleTimeout,
  ),
  max_lifetime: defaulted(
    duration(limits.timeout),
    'Backends older than this are replaced when they become free',
    3_600_000,
    defaults.maxLifetime,
  ),
  connect_timeout: defaulted(
    duration(limits.timeout),
    'How long opening a backend may take, login included',
    5000,
    defaults.connectTimeout,
  ),
  health_check_interval: defaulted(
    duration(limits.healthCheckInterval),
    'How often idle shards are asked whether they live',
    30_000,
    defaults.healthCheckInterval,
  ),
  prepared_statements: defaulted(
    integer(limits.preparedPerBackend, 'a number of statements'),
    'Statements kept prepared per backend',
    defaults.preparedPerBackend,
  ),
});

const limitsOfClients = object({
  max_clients: defaulted(
    integer(limits.maxClients, 'a number of clients'),
    'Client connections at a time',
    defaults.maxClients,
  ),
  gather_memory: defaulted(
    size(limits.gatherMemory),
    'Rows that one statement may bring together on one server',
    64 * 1024 ** 2,
    defaults.gatherMemory,
  ),
  gather_rows: defaulted(
    integer(limits.gatherRows, 'a number of rows'),
    'How many rows these may be; 0: any number',
    defaults.gatherRows,
  ),
  gather_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'How long a statement that brings rows together may take; 0: as long as it needs',
    0,
    defaults.gatherTimeout,
  ),
  statement_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'Statements that take longer are cancelled; 0: none',
    0,
    defaults.statementTimeout,
  ),
  login_timeout: defaulted(
    duration(limits.timeout),
    'How long a client may take to log in',
    15_000,
    defaults.loginTimeout,
  ),
  message_size: defaulted(
    size(limits.messageSize),
    'Largest statement or parameter set of a client',
    256 * 1024 ** 2,
    defaults.messageSize,
  ),
  idle_in_transaction_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'Sessions idle in a transaction for longer are ended; 0: none',
    0,
    defaults.idleInTransactionTimeout,
  ),
  idle_session_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'Sessions idle outside a transaction for longer are ended; 0: none',
    0,
    defaults.idleSessionTimeout,
  ),
  transaction_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'Sessions whose transaction block takes longer are ended; 0: none',
    0,
    defaults.transactionTimeout,
  ),
  stalled_client_timeout: defaulted(
    duration(limits.timeoutOrNone),
    'Clients that take nothing of their answer for longer are cut off; 0: none',
    0,
    defaults.stalledClientTimeout,
  ),
  prepared_statements: defaulted(
    integer(limits.preparedPerClient, 'a number of statements'),
    'Prepared statements per client',
    defaults.preparedPerClient,
  ),
  portals: defaulted(
    integer(limits.portalsPerClient, 'a number of portals'),
    'Named portals and cursors per client',
    defaults.portalsPerClient,
  ),
});

const transactions = object({
  cross_shard: defaulted(
    choice(['two_phase', 'best_effort', 'refuse']),
    'two_phase: all shards or none; best_effort: COMMIT one by one; refuse: one shard only',
    defaults.crossShard,
  ),
  snapshots: defaulted(
    choice(['refuse', 'per_shard']),
    'REPEATABLE READ and SERIALIZABLE over several shards; per_shard: a snapshot on each of them',
    defaults.snapshots,
  ),
});

const routing = object({
  scatter: defaulted(
    choice(['on', 'off']),
    'off: statements that no shard key leads to their shards are refused, until a session sets shardgate.scatter',
    defaults.scatter,
  ),
});

const log = object({
  level: defaulted(
    choice(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
    'Least severe lines that are written',
    defaults.logLevel,
  ),
});

const shard = object({
  name: required(name('a shard name'), 'Unique in the cluster', 'write name: NAME'),
  range: optional(keyRange(), 'Keyspace ids of this shard, in hex: -40, 40-80, c0-, or - for all'),
  ranges: optional(list('key ranges', keyRange(), { minItems: 1 }), 'Several key ranges'),
  weight: optional(
    integer(limits.shardWeight, 'a weight'),
    'In place of ranges: the share that the shard has of a ring, beside the weights of the others',
  ),
  primary: required(
    serverUrl(),
    'postgres://user:password@host:port/database?sslmode=..., ${NAME} or file:PATH',
    'write primary: postgres://user@host:port/database',
  ),
  replicas: defaulted(list('server URLs', serverUrl()), 'Read replicas (not used yet)', []),
});

const ids = object({
  column: required(
    identifier('the name of a column'),
    'Column that they fill',
    'write column: NAME',
  ),
  from: required(
    choice(['snowflake', 'sequence', 'uuidv7']),
    'snowflake: 63 bits of time, proxy and counter; sequence: of the catalog shard or an unsharded keyspace; uuidv7',
    'write from: snowflake, sequence or uuidv7',
  ),
  sequence: optional(
    text({ what: 'a sequence: name or schema.name', pattern: TABLE_NAME }),
    "Of from: sequence; left out: the column's own (serial, identity)",
  ),
});

const table = object({
  type: optional(
    choice(['sharded', 'reference', 'sequence', 'unsharded']),
    'Left out: sharded where a shard_key is given, else unsharded',
  ),
  shard_key: optional(
    oneOrMore('names of columns', identifier('the name of a column that decides the shard')),
    'Column whose value decides the shard of a row, or a list of columns',
  ),
  vindex: optional(
    name('the name of a vindex of this keyspace'),
    'How the shard key maps to keyspace ids; left out: hash',
  ),
  lookups: optional(
    record('column', '^[^\\0]+$', name('the name of a lookup vindex of this keyspace')),
    'Lookup vindexes by the column whose values they find',
  ),
  ids: optional(ids, 'Values for a column that an INSERT leaves out'),
  require_key: optional(
    yesOrNo(),
    'true: statements that name neither its shard key nor a shard are refused',
  ),
});

const keyspace = object({
  vindexes: defaulted(
    record('vindex', NAME.source, vindexSpec()),
    'Mappings of column values to keyspace ids, by name',
    new Map(),
  ),
  shards: required(
    list('shards', shard, { whenEmpty: shard.empty, minItems: 1 }),
    'The databases; one without a range makes an unsharded keyspace',
    'write shards: [ { name: NAME, primary: URL } ]',
  ),
  tables: defaulted(
    record('table', TABLE_NAME.source, table, table.empty),
    'Tables by name (schema public) or schema.name, spelled as \\d shows them',
    new Map(),
  ),
});

/** The whole file. */
export const configSpec = object({
  listen: section(listen, 'Where clients connect'),
  http: optional(http, 'HTTP for metrics and health; left out: none'),
  database: defaulted(
    identifier('a database name'),
    'The name clients connect to',
    defaults.database,
  ),
  auth: section(auth, 'Who may log in, and how'),
  pool: section(pool, 'Connections to the shards'),
  limits: section(limitsOfClients, 'What clients may use'),
  transactions: section(transactions, 'Transactions over shards'),
  routing: section(routing, 'What statements may do to find their shards'),
  log: section(log, 'The log, JSON lines on standard output'),
  workers: defaulted(workers(), 'Processes; more than 1 is not supported yet', defaults.workers),
  drain_timeout: defaulted(
    duration(limits.drainTimeout),
    'How long running transactions have after SIGTERM',
    30_000,
    defaults.drainTimeout,
  ),
  default_keyspace: optional(
    name('the name of an unsharded keyspace'),
    'Where tables live that no keyspace lists; left out: statements on them are refused',
  ),
  keyspaces: required(
    record('keyspace', NAME.source, keyspace),
    'Sets of tables and the shards that hold them, by name',
    'write keyspaces: with at least one keyspace below',
  ),
});

type Read<S> = S extends { read(...args: never[]): infer T | undefined } ? NonNullable<T> : never;
export type RawConfig = Read<typeof configSpec>;
export type RawKeyspace = Read<typeof keyspace>;
export type RawShard = Read<typeof shard>;
export type RawTable = Read<typeof table>;

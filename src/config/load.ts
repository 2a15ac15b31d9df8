import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { makeTopology } from '../keyspace/topology-builder.js';
import { readAuth, readTls } from './access.js';
import { CONSOLE_DATABASE, type Config, type ListenConfig, type TlsConfig } from './config.js';
import { parseYaml } from './document.js';
import { readDefaultKeyspace, readKeyspaces } from './keyspaces.js';
import type { Overrides } from './overrides.js';
import { ConfigError } from './problems.js';
import { checkLookupTables } from './lookups.js';
import { quoted, type Reader, type Surroundings } from './reader.js';
import { configSpec, type RawConfig } from './schema.js';
import { digestOf, type ConfigSource, type FileDigests } from './source.js';

/** `version` becomes `Topology.version`; each reload gives a higher one. */
export type LoadOptions = Surroundings & {
  readonly version?: number;
  /** The files that are read, which grow with each `readFile`. */
  readonly files?: FileDigests;
  readonly overrides?: Overrides;
};

/**
 * Reads and validates a configuration file. Throws ConfigError with every problem; nothing else.
 */
export async function loadConfig(
  file: string,
  options: Pick<LoadOptions, 'version' | 'overrides'> & Partial<Pick<Surroundings, 'env'>> = {},
): Promise<Config> {
  const path = resolve(file);
  const files = new Map<string, string | null>();
  let text: string;
  try {
    text = await readFile(file, 'utf8');
    files.set(path, digestOf(text));
  } catch (error) {
    files.set(path, null);
    throw unreadable(file, error, files);
  }
  return loadConfigText(text, {
    file,
    env: options.env ?? process.env,
    readFile: readerBeside(file, files),
    version: options.version ?? 1,
    files,
    ...(options.overrides && { overrides: options.overrides }),
  });
}

/** As `loadConfig`, from text. Touches nothing but `surroundings`. */
export function loadConfigText(text: string, options: LoadOptions): Config {
  const { reader, contents } = parseYaml(text, options, options.overrides);
  const files = options.files ?? new Map();
  if (contents === null) throw new ConfigError(reader.problems, files);
  const raw = configSpec.read(reader, contents, []) ?? configSpec.empty;
  const config = build(reader, raw, options.version ?? 1, () => ({
    files,
    values: reader.plainOrNull(contents),
  }));
  if (config === null) throw new ConfigError(reader.problems, files);
  return config;
}

/** Reads files by names relative to the configuration file, and notes what it has read. */
export function readerBeside(
  file: string,
  files = new Map<string, string | null>(),
): Surroundings['readFile'] {
  const folder = dirname(resolve(file));
  return (name) => {
    const path = resolve(folder, name);
    files.set(path, null);
    const text = readFileSync(path, 'utf8');
    files.set(path, digestOf(text));
    return text;
  };
}

function unreadable(file: string, error: unknown, files: FileDigests): ConfigError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const message = `the configuration file cannot be read (${code})`;
  const cure = 'name a YAML file that exists and that this user may read';
  return new ConfigError([{ file, line: 1, column: 1, message, cure }], files);
}

/** Null where the file has problems. */
function build(
  reader: Reader,
  raw: RawConfig,
  version: number,
  source: () => ConfigSource,
): Config | null {
  const tls = readTls(reader, raw);
  const auth = readAuth(reader, raw, tls);
  const listen = readListen(reader, raw, tls);
  checkNames(reader, raw);
  const { specs, servers } = readKeyspaces(reader, raw.keyspaces);
  const defaultKeyspace = readDefaultKeyspace(reader, raw.default_keyspace, specs);
  checkLookupTables(reader, specs, defaultKeyspace);
  if (reader.problems.length > 0) return null;
  const { pool, limits: bounds } = raw;
  return freeze({
    listen,
    http: raw.http === undefined ? null : { host: raw.http.host, port: raw.http.port },
    database: raw.database,
    auth,
    pool: {
      size: pool.size,
      reserve: pool.reserve,
      batchMax: pool.batch,
      queueTimeoutMs: pool.queue_timeout,
      idleTimeoutMs: pool.idle_timeout,
      maxLifetimeMs: pool.max_lifetime,
      connectTimeoutMs: pool.connect_timeout,
      healthCheckIntervalMs: pool.health_check_interval,
      preparedStatementsMax: pool.prepared_statements,
    },
    limits: {
      maxClients: bounds.max_clients,
      gatherMemoryBytes: bounds.gather_memory,
      gatherRowsMax: bounds.gather_rows,
      gatherTimeoutMs: bounds.gather_timeout,
      statementTimeoutMs: bounds.statement_timeout,
      loginTimeoutMs: bounds.login_timeout,
      messageBytesMax: bounds.message_size,
      idleInTransactionTimeoutMs: bounds.idle_in_transaction_timeout,
      idleSessionTimeoutMs: bounds.idle_session_timeout,
      transactionTimeoutMs: bounds.transaction_timeout,
      stalledClientTimeoutMs: bounds.stalled_client_timeout,
      preparedStatementsPerClient: bounds.prepared_statements,
      portalsPerClient: bounds.portals,
    },
    transactions: {
      crossShard: raw.transactions.cross_shard,
      snapshots: raw.transactions.snapshots,
    },
    log: { level: raw.log.level },
    workers: raw.workers,
    drainTimeoutMs: raw.drain_timeout,
    // Last: it asserts what was checked above.
    topology: makeTopology({
      version,
      keyspaces: specs,
      defaultKeyspace,
      scatter: raw.routing.scatter === 'on',
    }),
    servers,
    source: source(),
  });
}

function readListen(reader: Reader, raw: RawConfig, tls: TlsConfig | null): ListenConfig {
  const { listen } = raw;
  if (listen.host.length === 0 && listen.unix_socket === undefined) {
    const cure = 'write host: 127.0.0.1, or unix_socket: FOLDER';
    reader.report(['listen', 'host'], 'nothing to listen to', cure);
  }
  const folder = dirname(reader.surroundings.file);
  return {
    hosts: listen.host,
    port: listen.port,
    unixSocket: listen.unix_socket === undefined ? null : resolve(folder, listen.unix_socket),
    unixSocketMode: Number.parseInt(listen.unix_socket_mode, 8),
    minProtocol: listen.min_protocol === '3.2' ? 2 : 0,
    tls,
  };
}

function checkNames(reader: Reader, raw: RawConfig): void {
  if (raw.database === CONSOLE_DATABASE) {
    const fault = `database ${quoted(raw.database)} is reserved for the console`;
    reader.report(['database'], fault, 'choose another name');
  }
  const { http, listen } = raw;
  if (http === undefined || http.port === 0 || http.port !== listen.port) return;
  if (!listen.host.includes(http.host)) return;
  const path = reader.has(['http', 'port']) ? ['http', 'port'] : ['http'];
  reader.report(path, `http and listen share port ${http.port}`, 'give one of them another port');
}

/**
 * Plain objects and lists, deeply; maps, bytes and the topology come frozen (or read-only by type)
 * already.
 */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Map || value instanceof RegExp || ArrayBuffer.isView(value)) return value;
  Object.values(value).forEach(freeze);
  return Object.freeze(value);
}

import { formatKeyRange, type KeyRange } from '../keyspace/key-range.js';
import { keyList } from '../keyspace/key-columns.js';
import { shownName } from '../keyspace/shown-name.js';
import type { Keyspace, Table } from '../keyspace/topology.js';
import type { Vindex } from '../keyspace/vindex.js';
import { isLoopback } from './access.js';
import type { Config, ServerAddress } from './config.js';
import { loadConfig } from './load.js';
import { ConfigError, formatProblem } from './problems.js';

/** Anything that takes text: process.stdout, or a test's list. */
export interface TextSink {
  write(text: string): unknown;
}

/** Tables named per kind in the summary; a file with thousands is still read at a glance. */
const TABLES_SHOWN = 12;
const RANGES_SHOWN = 8;

/**
 * `shardgate check FILE`: what the file means where it is sound (exit code 0), else every problem,
 * one a line, with what to write instead (1). Opens no connection, and prints no secret.
 */
export async function runCheck(
  file: string,
  out: TextSink,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<0 | 1> {
  try {
    out.write(`${file} is fine.\n\n${describeConfig(await loadConfig(file, { env }))}`);
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems } = error;
    for (const problem of problems) out.write(`${formatProblem(problem)}\n`);
    out.write(`\n${problems.length} problem${problems.length === 1 ? '' : 's'}.\n`);
    return 1;
  }
}

/** A summary for people, several lines. */
export function describeConfig(config: Config): string {
  const { listen, http, auth, pool, topology } = config;
  const tls = listen.tls === null ? 'no TLS' : `TLS ${listen.tls.mode}`;
  const lines = [
    `clients      ${listenAddresses(listen).join(', ')}, database ${config.database}, ${tls}`,
    `login        ${describeMethods(auth)}, ${describeUsers(config)}`,
    `http         ${http === null ? 'off' : address(http)}`,
    `pool         up to ${pool.size} backends per shard and role`,
    `commit       ${config.transactions.crossShard} over several shards`,
    `elsewhere    tables not listed below: ${topology.defaultKeyspace?.name ?? 'refused'}`,
  ];
  const open = listen.hosts.filter((host) => !isLoopback(host));
  const trusting = auth.rules.some(
    ({ method, type, addresses }) =>
      method === 'trust' && type !== 'local' && addresses.includes('all'),
  );
  if (trusting && open.length > 0) {
    lines.push(`note         trust on ${open.join(', ')}: everybody who can reach it is let in`);
  }
  for (const keyspace of topology.keyspaces) lines.push('', ...describeKeyspace(keyspace, config));
  return `${lines.join('\n')}\n`;
}

/** As clients name them. */
function listenAddresses({ hosts, port, unixSocket }: Config['listen']): string[] {
  const sockets = unixSocket === null ? [] : [`${unixSocket}/.s.PGSQL.${port}`];
  return [...hosts.map((host) => address({ host, port })), ...sockets];
}

function describeMethods({ rules }: Config['auth']): string {
  return [...new Set(rules.map(({ method }) => method))].join(', ');
}

function describeUsers({ auth }: Config): string {
  const names = [...auth.users.keys()];
  if (names.length === 0) return 'any user name';
  return `${names.length} user${names.length === 1 ? '' : 's'}: ${shorten(names)}`;
}

function describeKeyspace(keyspace: Keyspace, { servers }: Config): string[] {
  const kind = keyspace.sharded ? `${keyspace.shards.length} shards` : 'unsharded';
  const lines = [`keyspace ${keyspace.name} (${kind})`];
  const rows = keyspace.shards.map((shard) => {
    const { primary, replicas } = servers[shard.index]!;
    const ranges = describeRanges(shard.ranges);
    const more = replicas.length === 0 ? '' : `, ${replicas.length} replica(s), not used yet`;
    return [shard.name, ranges, `${describeServer(primary)}${more}`];
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const [name, ranges, server] of rows) {
    lines.push(`  ${name!.padEnd(widths[0]!)}  ${ranges!.padEnd(widths[1]!)}  ${server!}`);
  }
  return [...lines, ...describeTables([...keyspace.tables.values()])];
}

/** Those of a ring are too many to read. */
function describeRanges(ranges: readonly KeyRange[]): string {
  if (ranges.length === 0) return 'everything';
  const more = ranges.length - RANGES_SHOWN;
  const shown = ranges.slice(0, RANGES_SHOWN).map(formatKeyRange).join(' ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function describeTables(tables: readonly Table[]): string[] {
  const groups = new Map<string, string[]>();
  for (const table of tables) {
    const kind = table.type === 'sharded' ? `sharded by ${vindexName(table.vindex)}` : table.type;
    const name = shownName(table.schema, table.name);
    const shown = table.type === 'sharded' ? `${name}(${keyList(table)})` : name;
    groups.set(kind, [...(groups.get(kind) ?? []), shown]);
  }
  return [...groups].map(([kind, names]) => `  ${kind}: ${shorten(names)}`);
}

function vindexName({ name, type }: Vindex): string {
  return name === type ? type : `${name} (${type})`;
}

function shorten(names: readonly string[]): string {
  const more = names.length - TABLES_SHOWN;
  const shown = names.slice(0, TABLES_SHOWN).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** Without the password. */
function describeServer({ user, host, port, database, sslmode }: ServerAddress): string {
  const ssl = sslmode === 'prefer' ? '' : ` (sslmode ${sslmode})`;
  return `${user}@${address({ host, port })}/${database}${ssl}`;
}

function address({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

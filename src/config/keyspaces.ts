import type { KeyRange } from '../keyspace/key-range.js';
import { tilingProblems } from '../keyspace/key-range-tiling.js';
import { ringRanges } from '../keyspace/ring.js';
import {
  tableKey,
  type KeyspaceSpec,
  type ShardSpec,
  type TableSpec,
} from '../keyspace/topology-builder.js';
import type { Vindex } from '../keyspace/vindex.js';
import type { ServerAddress, ShardServers } from './config.js';
import { quoted, type Path, type Reader } from './reader.js';
import { readLookupVindexes } from './lookups.js';
import type { RawKeyspace, RawShard } from './schema.js';
import { readTable } from './tables.js';
import { readVindexes, type RawVindex } from './vindexes.js';

/** Words that console commands use for sets of shards and keyspaces. */
const RESERVED_NAMES: readonly string[] = ['all', 'any', 'none', 'shardgate'];

/** What is known of the cluster after reading; sound only where the reader collected no problem. */
export interface ReadKeyspaces {
  readonly specs: readonly KeyspaceSpec[];
  /** In the order of the shards over all keyspaces. */
  readonly servers: readonly ShardServers[];
}

/** Names met so far, with where, so that the second one can point at the first. */
interface Seen {
  readonly shards: Map<string, Path>;
  readonly databases: Map<string, { readonly shard: string; readonly path: Path }>;
  readonly tables: Map<string, Path>;
}

/** Checks keyspaces against each other and turns them into specifications of the topology. */
export function readKeyspaces(
  reader: Reader,
  raw: ReadonlyMap<string, RawKeyspace> | undefined,
): ReadKeyspaces {
  const seen: Seen = { shards: new Map(), databases: new Map(), tables: new Map() };
  const specs: KeyspaceSpec[] = [];
  const servers: ShardServers[] = [];
  const root: Path = ['keyspaces'];
  if (raw?.size === 0 && !reader.reported(root)) {
    reader.report(root, 'no keyspaces', 'name at least one keyspace with its shards');
  }
  for (const [name, keyspace] of raw ?? []) {
    const path = [...root, name];
    checkName(reader, path, 'keyspace', name);
    specs.push(readKeyspace(reader, path, name, keyspace, seen));
    for (const [index, shard] of (keyspace.shards ?? []).entries()) {
      const shardPath = [...path, 'shards', index];
      checkServer(reader, shardPath, shard, seen);
      const { primary, replicas } = shard;
      // Without a primary there is a problem, and with a problem nobody looks at the servers.
      if (primary !== undefined) servers.push({ primary, replicas });
    }
  }
  return { specs, servers };
}

/** `default_keyspace`: null where left out. */
export function readDefaultKeyspace(
  reader: Reader,
  name: string | undefined,
  specs: readonly KeyspaceSpec[],
): string | null {
  if (name === undefined) return null;
  const path: Path = ['default_keyspace'];
  const unsharded = specs.filter((spec) => !isSharded(spec.shards)).map((spec) => spec.name);
  if (unsharded.includes(name)) return name;
  const cure =
    unsharded.length === 0
      ? 'leave it out, since no keyspace is unsharded'
      : `write ${unsharded.map(quoted).join(' or ')}`;
  const fault = specs.some((spec) => spec.name === name)
    ? `keyspace ${quoted(name)} is sharded, so it cannot hold tables without a shard key`
    : `there is no keyspace ${quoted(name)}`;
  reader.report(path, fault, cure);
  return null;
}

function readKeyspace(
  reader: Reader,
  path: Path,
  name: string,
  raw: RawKeyspace,
  seen: Seen,
): KeyspaceSpec {
  const rawShards = raw.shards ?? [];
  const listed = rawShards.map((shard, index) =>
    readShard(reader, [...path, 'shards', index], shard, seen),
  );
  const isRing = rawShards.some((shard) => shard.weight !== undefined);
  const shards = isRing ? readRing(reader, path, rawShards, listed) : listed;
  // The ranges of a faulty ring were not made.
  if (!isRing || !reader.reported([...path, 'shards'])) {
    checkTiling(reader, path, rawShards, shards);
  }
  const sharded = isSharded(shards);
  checkVindexes(reader, path, raw.vindexes, sharded, isRing);
  const vindexes: ReadonlyMap<string, Vindex> = sharded
    ? readVindexes(reader, path, raw.vindexes, shards)
    : new Map();
  const lookups = readLookupVindexes(reader, path, raw.vindexes);
  const usable = new Set(
    [...raw.vindexes.keys(), ...vindexes.keys()].filter((vindex) => !lookups.has(vindex)),
  );
  const tables: TableSpec[] = [];
  for (const [key, table] of raw.tables) {
    const tablePath = [...path, 'tables', key];
    const context = {
      reader,
      path: tablePath,
      keyspace: name,
      sharded,
      vindexes: usable,
      made: vindexes,
      lookups,
    };
    const spec = readTable(context, key, table);
    if (spec !== null && isNewTable(reader, tablePath, spec, seen)) tables.push(spec);
  }
  return { name, shards, vindexes: [...vindexes.values()], tables };
}

/** Two shards or more are sharded even where ranges are missing (a problem of its own then). */
function isSharded(shards: readonly ShardSpec[]): boolean {
  return shards.length > 1 || shards.some((shard) => shard.ranges.length > 0);
}

function readShard(reader: Reader, path: Path, raw: RawShard, seen: Seen): ShardSpec {
  const ranges: KeyRange[] = [...(raw.ranges ?? [])];
  if (raw.range !== undefined) {
    if (raw.ranges !== undefined) {
      const cure = 'keep one of them: range for one key range, ranges for several';
      reader.report([...path, 'ranges'], 'both range and ranges', cure);
    } else {
      ranges.push(raw.range);
    }
  }
  if (raw.name !== undefined) {
    checkName(reader, [...path, 'name'], 'shard', raw.name);
    const first = seen.shards.get(raw.name);
    if (first === undefined) {
      seen.shards.set(raw.name, [...path, 'name']);
    } else {
      reader.report(
        [...path, 'name'],
        `shard ${quoted(raw.name)} stands on line ${reader.lineOf(first)} already`,
        'give every shard of the cluster a name of its own',
      );
    }
  }
  return { name: raw.name ?? '', ranges };
}

/** The shards with the key ranges that their weights give them. */
function readRing(
  reader: Reader,
  path: Path,
  raw: readonly RawShard[],
  shards: readonly ShardSpec[],
): readonly ShardSpec[] {
  for (const [index, { range, ranges, weight }] of raw.entries()) {
    const shardPath = [...path, 'shards', index];
    if (range !== undefined || ranges !== undefined) {
      const fault = 'key ranges in a keyspace whose shards have weights';
      const key = range === undefined ? 'ranges' : 'range';
      reader.report([...shardPath, key], fault, 'keep one of them: ranges, or weights');
    } else if (weight === undefined) {
      const fault = 'a shard without a weight beside shards that have one';
      reader.report(shardPath, fault, 'write weight: 1');
    }
  }
  // Names must be sound and different: they decide the ranges.
  if (reader.reported([...path, 'shards'])) return shards;
  const members = shards.map(({ name }, index) => ({ name, weight: raw[index]!.weight ?? 1 }));
  const ranges = ringRanges(members);
  return shards.map(({ name }, index) => ({ name, ranges: ranges[index]! }));
}

/** Two shards on one database would each count the other's rows as their own. */
function checkServer(reader: Reader, shardPath: Path, shard: RawShard, seen: Seen): void {
  if (shard.primary === undefined) return;
  const path = [...shardPath, 'primary'];
  const key = databaseKey(shard.primary);
  const first = seen.databases.get(key);
  if (first === undefined) {
    seen.databases.set(key, { shard: shard.name ?? '', path });
    return;
  }
  reader.report(
    path,
    `the same database as shard ${quoted(first.shard)} on line ${reader.lineOf(first.path)}`,
    'give every shard a database of its own (several may share a server)',
  );
}

function databaseKey(server: ServerAddress): string {
  return JSON.stringify([server.host.toLowerCase(), server.port, server.database]);
}

function checkName(reader: Reader, path: Path, what: string, name: string): void {
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,62}$/.test(name)) {
    const cure = 'write up to 63 letters, digits, _ and -, not starting with a digit';
    reader.report(path, `${quoted(name)} is no name of a ${what}`, cure);
  } else if (RESERVED_NAMES.includes(name.toLowerCase())) {
    reader.report(path, `${quoted(name)} is a reserved word`, `choose another ${what} name`);
  }
}

function checkTiling(
  reader: Reader,
  path: Path,
  raw: readonly RawShard[],
  shards: readonly ShardSpec[],
): void {
  const shardsPath = [...path, 'shards'];
  if (!reader.has(shardsPath)) return;
  // A range that could not be read, or a missing name, would only lead to misleading reports of
  // gaps.
  const faulty = raw.some(
    (shard, index) =>
      shard.name === undefined ||
      reader.reported([...shardsPath, index, 'range']) ||
      reader.reported([...shardsPath, index, 'ranges']),
  );
  if (faulty || raw.length === 0) return;
  for (const problem of tilingProblems(shards)) {
    const index = shards.findIndex((shard) => shard.name === problem.shardNames.at(-1));
    const shardPath = index === -1 ? shardsPath : [...shardsPath, index];
    const key = index !== -1 && raw[index]!.ranges !== undefined ? 'ranges' : 'range';
    reader.report([...shardPath, key], problem.message, problem.hint);
  }
}

/** The names and places of vindexes; what they are made of is read by `readVindexes`. */
function checkVindexes(
  reader: Reader,
  path: Path,
  raw: ReadonlyMap<string, RawVindex>,
  sharded: boolean,
  isRing: boolean,
): void {
  for (const [name, { type }] of raw) {
    const vindexPath = [...path, 'vindexes', name];
    checkName(reader, vindexPath, 'vindex', name);
    if (type === 'ring' && !isRing) {
      const fault = `vindex ${quoted(name)} of type ring over shards without weights`;
      reader.report(vindexPath, fault, 'give each shard a weight, or write type: hash');
    }
    if (sharded) continue;
    const fault = `vindex ${quoted(name)} in a keyspace with one shard and no range`;
    reader.report(vindexPath, fault, 'leave it out, or give the shards key ranges');
  }
}

function isNewTable(reader: Reader, path: Path, spec: TableSpec, seen: Seen): boolean {
  const key = tableKey(spec.schema, spec.name);
  const first = seen.tables.get(key);
  if (first === undefined) {
    seen.tables.set(key, path);
    return true;
  }
  const where = `keyspace ${quoted(String(first[1]))} on line ${reader.lineOf(first)}`;
  const cure = 'keep one of them: a table lives in one keyspace';
  reader.report(path, `table ${quoted(key)} stands in ${where} already`, cure);
  return false;
}

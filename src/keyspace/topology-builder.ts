import { assert } from '../util/assert.js';
import { tilingProblems } from './key-range-tiling.js';
import type { KeyRange } from './key-range.js';
import { compareKeyspaceIds } from './keyspace-id.js';
import { lookupDefinition, type EntrySpread, type LookupSpec } from './lookup-definition.js';
import { makeShardLookup } from './shard-lookup.js';
import type { Keyspace, Lookup, Shard, Table, TableIds, Topology } from './topology.js';
import type { Vindex } from './vindex.js';

export interface ShardSpec {
  readonly name: string;
  /** In any order; empty for the one shard of an unsharded keyspace. */
  readonly ranges: readonly KeyRange[];
}

export type TableSpec =
  | {
      readonly type: 'sharded';
      readonly schema: string;
      readonly name: string;
      /** The columns of the shard key, one or more. */
      readonly keyColumns: readonly string[];
      /** Name of one of the keyspace's vindexes. */
      readonly vindex: string;
      readonly ids?: TableIds;
      readonly lookups?: readonly LookupSpec[];
      readonly requireKey?: true;
    }
  | {
      readonly type: 'reference' | 'unsharded' | 'sequence';
      readonly schema: string;
      readonly name: string;
      readonly ids?: TableIds;
    };

export interface KeyspaceSpec {
  readonly name: string;
  readonly shards: readonly ShardSpec[];
  readonly vindexes: readonly Vindex[];
  readonly tables: readonly TableSpec[];
}

export interface TopologySpec {
  readonly version: number;
  readonly keyspaces: readonly KeyspaceSpec[];
  /** Name of the keyspace of tables that no keyspace lists; null: such tables are refused. */
  readonly defaultKeyspace: string | null;
  /** As in `Topology`; left out: they may. */
  readonly scatter?: boolean;
}

/** The key of `Topology.tables` and `Keyspace.tables`. */
export function tableKey(schema: string, name: string): string {
  return `${schema}.${name}`;
}

/**
 * Builds one frozen keyspace. `firstShardIndex` is the place of its first shard in
 * `Topology.shards`; `all` are those of the topology, which may have entries of its lookups. The specification must be
 * sound (the configuration reports faults to people before): a fault is an AssertionError.
 */
export function makeKeyspace(
  spec: KeyspaceSpec,
  firstShardIndex = 0,
  all: readonly KeyspaceSpec[] = [spec],
): Keyspace {
  const problem = tilingProblems(spec.shards)[0];
  assert(problem === undefined, `keyspace "${spec.name}": ${problem?.message}`);
  const shards = Object.freeze(
    spec.shards.map((shard, place) => makeShard(shard, spec.name, firstShardIndex + place)),
  );
  assertUnique(shards, `shard names of keyspace "${spec.name}"`);
  assertUnique(spec.vindexes, `vindex names of keyspace "${spec.name}"`);
  const vindexes = new Map(spec.vindexes.map((vindex) => [vindex.name, vindex]));
  const tables = new Map<string, Table>();
  const keyspace: Keyspace = Object.freeze({
    name: spec.name,
    sharded: shards[0]!.ranges.length > 0,
    shards,
    vindexes,
    tables,
    shardOf: makeShardLookup(shards),
  });
  for (const table of spec.tables) {
    const key = tableKey(table.schema, table.name);
    assert(!tables.has(key), `table "${key}" stands twice in keyspace "${spec.name}"`);
    tables.set(key, makeTable(table, keyspace, all));
  }
  return keyspace;
}

/**
 * Builds the frozen topology of a sound specification; shards are numbered in the order they are
 * listed.
 */
export function makeTopology(spec: TopologySpec): Topology {
  assert(spec.keyspaces.length > 0, 'a topology has at least one keyspace');
  const keyspaces: Keyspace[] = [];
  const shards: Shard[] = [];
  const tables = new Map<string, Table>();
  for (const keyspaceSpec of spec.keyspaces) {
    const keyspace = makeKeyspace(keyspaceSpec, shards.length, spec.keyspaces);
    keyspaces.push(keyspace);
    shards.push(...keyspace.shards);
    for (const [key, table] of keyspace.tables) {
      assert(!tables.has(key), `table "${key}" stands in two keyspaces`);
      tables.set(key, table);
    }
  }
  assertUnique(keyspaces, 'keyspace names');
  assertUnique(shards, 'shard names');
  const defaultKeyspace = keyspaces.find((keyspace) => keyspace.name === spec.defaultKeyspace);
  if (spec.defaultKeyspace !== null) {
    assert(defaultKeyspace !== undefined, `no default keyspace "${spec.defaultKeyspace}"`);
    assert(!defaultKeyspace.sharded, `default keyspace "${defaultKeyspace.name}" is sharded`);
  }
  return Object.freeze({
    version: spec.version,
    keyspaces: Object.freeze(keyspaces),
    shards: Object.freeze(shards),
    catalogShard: chooseCatalogShard(keyspaces, defaultKeyspace),
    defaultKeyspace: defaultKeyspace ?? null,
    tables,
    lookups: [...tables.values()].flatMap((table) =>
      table.type === 'sharded' ? (table.lookups ?? []) : [],
    ),
    directories: keyspaces.flatMap(({ vindexes }) =>
      [...vindexes.values()].flatMap(({ directory }) => directory ?? []),
    ),
    scatter: spec.scatter ?? true,
  });
}

/**
 * An unsharded keyspace's database where there is one: it is never split or moved, so its OIDs
 * last.
 */
function chooseCatalogShard(keyspaces: readonly Keyspace[], preferred?: Keyspace): Shard {
  const keyspace = preferred ?? keyspaces.find((other) => !other.sharded) ?? keyspaces[0]!;
  return keyspace.shards[0]!;
}

function inOrder({ name, ranges }: ShardSpec): ShardSpec {
  return { name, ranges: [...ranges].sort((a, b) => compareKeyspaceIds(a.from, b.from)) };
}

function makeShard(spec: ShardSpec, keyspace: string, index: number): Shard {
  const ranges = inOrder(spec).ranges.map((range) =>
    Object.freeze({
      from: Object.freeze({ ...range.from }),
      to: range.to === null ? null : Object.freeze({ ...range.to }),
    }),
  );
  return Object.freeze({ index, name: spec.name, keyspace, ranges: Object.freeze(ranges) });
}

function makeTable(spec: TableSpec, keyspace: Keyspace, all: readonly KeyspaceSpec[]): Table {
  const where = `table "${tableKey(spec.schema, spec.name)}" of keyspace "${keyspace.name}"`;
  const { schema, name } = spec;
  const ids = spec.ids === undefined ? {} : { ids: Object.freeze(spec.ids) };
  if (spec.type === 'sharded') {
    assert(keyspace.sharded, `${where} is sharded, the keyspace is not`);
    const vindex = keyspace.vindexes.get(spec.vindex);
    assert(vindex !== undefined, `${where} names an unknown vindex "${spec.vindex}"`);
    const keyColumns = Object.freeze([...spec.keyColumns]);
    const lookups = spec.lookups?.map((lookup): Lookup => {
      const owner = { keyspace, vindex, keyColumns };
      const definition = lookupDefinition(lookup, owner, spreadOf(lookup, all));
      return Object.freeze({ ...lookup, definition });
    });
    return Object.freeze({
      type: 'sharded',
      keyspace,
      schema,
      name,
      keyColumns,
      vindex,
      ...ids,
      ...(lookups === undefined ? {} : { lookups: Object.freeze(lookups) }),
      ...(spec.requireKey === undefined ? {} : { requireKey: spec.requireKey }),
    });
  }
  if (spec.type === 'reference') {
    // One database holds one copy: that is an unsharded table, and routes better as one.
    const type = keyspace.sharded ? 'reference' : 'unsharded';
    return Object.freeze({ type, keyspace, schema, name, ...ids });
  }
  assert(!keyspace.sharded, `${where} is of type ${spec.type}, the keyspace is sharded`);
  return Object.freeze({ type: spec.type, keyspace, schema, name });
}

/** Null: one shard has all entries. */
function spreadOf({ index }: LookupSpec, all: readonly KeyspaceSpec[]): EntrySpread | null {
  for (const { name: keyspace, shards, vindexes, tables } of all) {
    for (const table of tables) {
      if (table.name !== index.name || table.schema !== index.schema) continue;
      if (table.type !== 'sharded') return null;
      const vindex = vindexes.find(({ name }) => name === table.vindex)!;
      return { keyspace, shards: shards.map(inOrder), vindex };
    }
  }
  return null;
}

function assertUnique(named: readonly { readonly name: string }[], what: string): void {
  const names = new Set(named.map((one) => one.name));
  assert(names.size === named.length, `${what} are not unique`);
}

import type { TableIds } from '../keyspace/topology.js';
import type { TableSpec } from '../keyspace/topology-builder.js';
import type { Vindex } from '../keyspace/vindex.js';
import { quoted, type Path, type Reader } from './reader.js';
import type { RawTable } from './schema.js';
import { readLookups, type LookupVindex } from './lookups.js';
import { suggest } from '../util/suggest.js';
import { readTableName } from './table-name.js';

/** What reading one table needs to know of its keyspace. */
export interface TableContext {
  readonly reader: Reader;
  readonly path: Path;
  readonly keyspace: string;
  readonly sharded: boolean;
  /** Names of the vindexes that its tables may use. */
  readonly vindexes: ReadonlySet<string>;
  /** Those of them that could be made. */
  readonly made: ReadonlyMap<string, Vindex>;
  readonly lookups: ReadonlyMap<string, LookupVindex>;
}

const DEFAULT_SCHEMA = 'public';

/** Turns one entry under `tables` into a specification; null where it has faults (reported). */
export function readTable(context: TableContext, key: string, raw: RawTable): TableSpec | null {
  const { reader, path } = context;
  const before = reader.problems.length;
  const name = readTableName(reader, path, key);
  const spec = context.sharded
    ? shardedKeyspace(context, key, raw)
    : plainKeyspace(context, key, raw);
  if (name === null || spec === null || reader.problems.length > before) return null;
  const lookups = readLookups(context, name, raw, context.lookups);
  if (reader.problems.length > before) return null;
  return { ...spec, ...name, ...(lookups.length === 0 ? {} : { lookups }) };
}

type NamelessSpec = { readonly ids?: TableIds } & (
  | {
      readonly type: 'sharded';
      readonly keyColumns: readonly string[];
      readonly vindex: string;
      readonly requireKey?: true;
    }
  | { readonly type: 'reference' | 'unsharded' | 'sequence' }
);

function shardedKeyspace(context: TableContext, key: string, raw: RawTable): NamelessSpec | null {
  const { reader, path, keyspace } = context;
  const table = `table ${quoted(key)}`;
  const where = `the sharded keyspace ${quoted(keyspace)}`;
  const ids = readIds(context, raw);
  if (raw.type === 'reference') {
    const keys = ['shard_key', 'vindex', 'lookups', 'require_key'] as const;
    refuseKeys(context, raw, keys, `a reference table is copied whole to every shard`);
    return { type: 'reference', ...ids };
  }
  if (raw.type === 'sequence' || raw.type === 'unsharded') {
    const cure = 'move it to a keyspace with one shard and no range';
    reader.report([...path, 'type'], `${table} of type ${raw.type} in ${where}`, cure);
    return null;
  }
  if (raw.shard_key === undefined) {
    // A shard_key or type that could not be read was reported as such.
    if (reader.reported([...path, 'shard_key']) || reader.reported([...path, 'type'])) return null;
    const cure = 'write { shard_key: COLUMN }, or { type: reference } for a copy on every shard';
    reader.report(path, `${table} of ${where} has no shard_key`, cure);
    return null;
  }
  const vindex = raw.vindex ?? 'hash';
  if (!context.vindexes.has(vindex)) {
    const meant = suggest(vindex, context.vindexes);
    const cure =
      meant === null
        ? `define it under vindexes: of keyspace ${quoted(keyspace)}, or leave it out for hash`
        : `did you mean ${quoted(meant)}?`;
    reader.report([...path, 'vindex'], `vindex ${quoted(vindex)} is not defined`, cure);
    return null;
  }
  checkKeyColumns(context, raw.shard_key, context.made.get(vindex));
  const requireKey = raw.require_key === true ? { requireKey: true as const } : {};
  return { type: 'sharded', keyColumns: raw.shard_key, vindex, ...requireKey, ...ids };
}

/** Whether a vindex takes keys of so many columns. */
function checkKeyColumns(
  { reader, path }: TableContext,
  columns: readonly string[],
  vindex: Vindex | undefined,
): void {
  const own: Path = [...path, 'shard_key'];
  if (columns.length === 0) {
    reader.report(own, 'a shard key without columns', 'write the names of one or more columns');
    return;
  }
  const twice = columns.find((name, place) => columns.indexOf(name) !== place);
  if (twice !== undefined) {
    reader.report(own, `column ${quoted(twice)} stands twice in a shard key`, 'name it once');
  }
  if (vindex === undefined) return;
  const { columnsMin: min, columnsMax: max } = vindex.parts ?? { columnsMin: 1, columnsMax: 1 };
  if (columns.length >= min && columns.length <= max) return;
  const count = columns.length === 1 ? 'one column' : `${columns.length} columns`;
  const fault = `vindex ${quoted(vindex.name)} of type ${vindex.type} over a shard key of ${count}`;
  const cure =
    max === 1
      ? 'name one column, or use a vindex of type hash, composite, region or salted'
      : `name ${min === max ? min : `${min} to ${max}`} columns`;
  reader.report(own, fault, cure);
}

function plainKeyspace(context: TableContext, key: string, raw: RawTable): NamelessSpec | null {
  const { reader, path, keyspace } = context;
  if (raw.type === 'reference' || raw.type === 'sharded') {
    const where = `the unsharded keyspace ${quoted(keyspace)}`;
    const fault = `table ${quoted(key)} of type ${raw.type} in ${where}`;
    reader.report([...path, 'type'], fault, 'write {}, or move it to a sharded keyspace');
    return null;
  }
  const keys = ['shard_key', 'vindex', 'ids', 'lookups', 'require_key'] as const;
  refuseKeys(context, raw, keys, `keyspace ${quoted(keyspace)} has one shard and no range`);
  return { type: raw.type ?? 'unsharded' };
}

/** The `ids` of a table of a sharded keyspace. */
function readIds({ reader, path }: TableContext, raw: RawTable): { readonly ids?: TableIds } {
  const { ids } = raw;
  // Without these there is a problem already.
  if (ids?.column === undefined || ids.from === undefined) return {};
  const { column, from, sequence } = ids;
  if (sequence !== undefined && from !== 'sequence') {
    const fault = `sequence has no meaning with from: ${from}`;
    reader.report([...path, 'ids', 'sequence'], fault, 'leave it out, or write from: sequence');
  }
  const name =
    sequence === undefined || sequence.includes('.') ? sequence : `${DEFAULT_SCHEMA}.${sequence}`;
  return { ids: { column, from, sequence: name ?? null } };
}

function refuseKeys(
  { reader, path }: TableContext,
  raw: RawTable,
  keys: readonly ('shard_key' | 'vindex' | 'ids' | 'lookups' | 'require_key')[],
  why: string,
): void {
  for (const key of keys) {
    if (raw[key] === undefined) continue;
    reader.report([...path, key], `${key} has no meaning here: ${why}`, 'leave it out');
  }
}

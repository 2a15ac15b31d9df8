import type { KeyspaceSpec } from '../keyspace/topology-builder.js';
import { tableKey } from '../keyspace/topology-builder.js';
import type { LookupSpec } from '../keyspace/lookup-definition.js';
import { quoted, type Path, type Reader } from './reader.js';
import type { RawTable } from './schema.js';
import { suggest } from '../util/suggest.js';
import { isLookupType, type RawVindex } from './vindexes.js';
import { readTableName } from './table-name.js';

/** A vindex that is kept in a table: what tables say of it under `lookups`. */
export type LookupVindex = Pick<LookupSpec, 'name' | 'unique' | 'index'>;

/** The lookups among the vindexes of a keyspace, by name; those without a problem. */
export function readLookupVindexes(
  reader: Reader,
  path: Path,
  raw: ReadonlyMap<string, RawVindex>,
): ReadonlyMap<string, LookupVindex> {
  const found = new Map<string, LookupVindex>();
  for (const [name, { type, options }] of raw) {
    const { table } = options;
    if (type === null || !isLookupType(type) || typeof table !== 'string') continue;
    const index = readTableName(reader, [...path, 'vindexes', name, 'table'], table);
    if (index !== null) found.set(name, { name, unique: type === 'lookup_unique', index });
  }
  return found;
}

/** The `lookups` of a sharded table, each a column and the vindex that is kept for it. */
export function readLookups(
  { reader, path }: { readonly reader: Reader; readonly path: Path },
  table: { readonly schema: string; readonly name: string },
  { lookups, shard_key: keyColumns = [] }: RawTable,
  vindexes: ReadonlyMap<string, LookupVindex>,
): readonly LookupSpec[] {
  const found: LookupSpec[] = [];
  for (const [column, name] of lookups ?? []) {
    const own: Path = [...path, 'lookups', column];
    const vindex = vindexes.get(name);
    if (vindex === undefined) {
      const meant = suggest(name, vindexes.keys());
      const cure =
        meant === null
          ? 'define it under vindexes: with type: lookup or lookup_unique, and a table'
          : `did you mean ${quoted(meant)}?`;
      reader.report(own, `lookup vindex ${quoted(name)} is not defined`, cure);
    } else if (keyColumns.length === 1 && column === keyColumns[0]) {
      const cure = 'leave it out: the shard key itself leads to the shard';
      reader.report(own, `a lookup for the shard key ${quoted(column)}`, cure);
    } else found.push({ ...vindex, schema: table.schema, table: table.name, column });
  }
  return found;
}

/**
 * Each lookup and each directory has a table of its own, in an unsharded keyspace; that of a lookup may be sharded by
 * its values too.
 */
export function checkLookupTables(
  reader: Reader,
  specs: readonly KeyspaceSpec[],
  defaultKeyspace: string | null,
): void {
  const users = new Map<string, string>();
  for (const keyspace of specs) {
    for (const { name, directory } of keyspace.vindexes) {
      if (directory === undefined) continue;
      const own: Path = ['keyspaces', keyspace.name, 'vindexes', name, 'table'];
      const key = tableKey(directory.table.schema, directory.table.name);
      if (users.has(key)) {
        const cure = 'define a vindex with a table of its own';
        reader.report(own, `table ${quoted(key)} is kept for ${users.get(key)!} already`, cure);
      }
      users.set(key, `vindex ${quoted(name)}`);
      checkPlace(reader, own, key, specs, { defaultKeyspace, spreads: false });
    }
  }
  for (const keyspace of specs) {
    for (const table of keyspace.tables) {
      if (table.type !== 'sharded') continue;
      checkNoDirectory(reader, keyspace, table);
      for (const { index, column, name } of table.lookups ?? []) {
        const own: Path = ['keyspaces', keyspace.name, 'vindexes', name, 'table'];
        const key = tableKey(index.schema, index.name);
        const user = users.get(key);
        if (user !== undefined) {
          const cure = 'define a vindex with a table of its own for each column';
          reader.report(own, `table ${quoted(key)} is kept for ${user} already`, cure);
        }
        users.set(key, `column ${quoted(column)} of table ${quoted(table.name)}`);
        checkPlace(reader, own, key, specs, { defaultKeyspace, spreads: true });
      }
    }
  }
}

/** Entries of lookups name keyspace ids, which change where a directory gives a key another shard. */
function checkNoDirectory(
  reader: Reader,
  { name: keyspace, vindexes }: KeyspaceSpec,
  { name, vindex, lookups }: Extract<KeyspaceSpec['tables'][number], { type: 'sharded' }>,
): void {
  const used = vindexes.find((candidate) => candidate.name === vindex);
  if (lookups === undefined || used?.directory === undefined) return;
  const own: Path = ['keyspaces', keyspace, 'tables', name, 'lookups'];
  const fault = `lookups of table ${quoted(name)}, whose shards a directory tells`;
  reader.report(own, fault, 'leave them out, or use another vindex');
}

/** Vindexes that give every value a shard, equal values the same one. */
const SPREADING: ReadonlySet<string> = new Set([
  'hash',
  'ring',
  'xxhash',
  'md5',
  'numeric',
  'binary',
  'unicode_loose',
]);

/** `spreads`: its keyspace may be sharded. */
function checkPlace(
  reader: Reader,
  path: Path,
  key: string,
  specs: readonly KeyspaceSpec[],
  {
    defaultKeyspace,
    spreads,
  }: { readonly defaultKeyspace: string | null; readonly spreads: boolean },
): void {
  for (const { name, tables, vindexes } of specs) {
    const listed = tables.find((table) => tableKey(table.schema, table.name) === key);
    if (listed === undefined) continue;
    if (listed.type === 'unsharded') return;
    const cure = 'list it in an unsharded keyspace, as {}';
    if (!spreads || listed.type !== 'sharded') {
      const fault = `the lookup table ${quoted(key)} is listed in keyspace ${quoted(name)} with type ${listed.type}`;
      reader.report(path, fault, cure);
      return;
    }
    const vindex = vindexes.find((candidate) => candidate.name === listed.vindex);
    const plain = listed.lookups === undefined && listed.ids === undefined;
    const isSpread =
      listed.keyColumns.join() === 'value' && plain && SPREADING.has(vindex?.type ?? 'hash');
    if (isSpread) return;
    reader.report(
      path,
      `the lookup table ${quoted(key)} is sharded otherwise than by its column "value" alone`,
      `write { shard_key: value }, with a vindex of type hash, xxhash or md5; or ${cure}`,
    );
    return;
  }
  if (defaultKeyspace !== null) return;
  const cure = `list it under tables: of an unsharded keyspace${spreads ? ', or of a sharded one as { shard_key: value }' : ''}, or set default_keyspace`;
  reader.report(path, `the lookup table ${quoted(key)} belongs to no keyspace`, cure);
}

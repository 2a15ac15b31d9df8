import { lookupCost, lookupKey, type Keyspace, type Lookup } from '../../keyspace/topology.js';
import { showCommand } from '../show.js';

interface VindexRow {
  readonly keyspace: string;
  readonly vindex: string;
  readonly type: string;
  readonly cost: number;
  readonly tables: readonly string[];
  /** Of lookups. */
  readonly state: 'ready' | 'building' | null;
}

export const showVindexes = showCommand<VindexRow>({
  name: 'VINDEXES',
  help: 'The vindexes, which tables they shard, what it costs to find shards by them, and whether lookups are ready',
  columns: [
    { name: 'keyspace', type: 'text', of: ({ keyspace }) => keyspace },
    { name: 'vindex', type: 'text', of: ({ vindex }) => vindex },
    { name: 'type', type: 'text', of: ({ type }) => type },
    { name: 'tables', type: 'text', of: ({ tables }) => tables.join(' ') },
    { name: 'cost', type: 'int4', of: ({ cost }) => cost },
    { name: 'state', type: 'text', of: ({ state }) => state },
  ],
  items: ({ proxy }) => {
    const states = proxy.planner.catalog.lookups;
    const isReady = (lookup: Lookup): boolean => states?.get(lookupKey(lookup))?.ready === true;
    return proxy.config.topology.keyspaces.flatMap((keyspace) => rowsOf(keyspace, isReady));
  },
});

function rowsOf(
  { name: keyspace, vindexes, tables }: Keyspace,
  isReady: (lookup: Lookup) => boolean,
): VindexRow[] {
  const sharded = [...tables.values()].filter((table) => table.type === 'sharded');
  const rows = [...vindexes.values()].map((vindex) => ({
    keyspace,
    vindex: vindex.name,
    type: vindex.type,
    cost: vindex.cost,
    tables: sharded.filter((table) => table.vindex === vindex).map(({ name }) => name),
    state: null,
  }));
  const lookups = sharded.flatMap((table) => table.lookups ?? []);
  return [
    ...rows,
    ...lookups.map((lookup) => ({
      keyspace,
      vindex: lookup.name,
      type: lookup.unique ? 'lookup_unique' : 'lookup',
      cost: lookupCost(lookup),
      tables: [`${lookup.table}.${lookup.column}`],
      state: isReady(lookup) ? ('ready' as const) : ('building' as const),
    })),
  ];
}

import { statementsOf, type KeySamples, type TableKeys } from '../../executor/key-samples.js';
import { shownName } from '../../keyspace/shown-name.js';
import type { HeavyKey } from '../../metrics/heavy-hitters.js';
import { showCommand } from '../show.js';

/** Keys that are sure to have less are no hot ones. */
const SHARE_MIN = 0.01;

interface HotKey extends TableKeys, HeavyKey {}

export const showHotkeys = showCommand<HotKey>({
  name: 'HOTKEYS',
  help: 'Shard keys that statements name most often, by a sample of those that name one; the hottest first',
  columns: [
    { name: 'keyspace', type: 'text', of: ({ keyspace }) => keyspace },
    { name: 'table', type: 'text', of: tableName },
    { name: 'key', type: 'text', of: ({ key }) => key },
    { name: 'percent', type: 'float8', of: ({ count, keys }) => percent(count / keys.seen) },
    { name: 'percent_min', type: 'float8', of: (key) => percent(shareMin(key)) },
    { name: 'statements', type: 'int8', of: ({ count }) => statementsOf(count) },
    { name: 'shards', type: 'text', of: ({ shards }) => shards },
  ],
  items: ({ proxy }) => hotKeys(proxy.keySamples),
});

function hotKeys(samples: KeySamples): HotKey[] {
  const all = [...samples.all()].flatMap((table) =>
    Array.from(table.keys.all(), (key) => ({ ...table, ...key })),
  );
  return all.filter((key) => shareMin(key) >= SHARE_MIN).sort((a, b) => b.count - a.count);
}

function tableName({ schema, table }: TableKeys): string {
  return shownName(schema, table);
}

/** What is certain. */
function shareMin({ count, error, keys }: HotKey): number {
  return (count - error) / keys.seen;
}

function percent(share: number): number {
  return Math.round(share * 1000) / 10;
}

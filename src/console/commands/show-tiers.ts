import type { PeriodPlace } from '../../executor/directories/periods.js';
import { showCommand } from '../show.js';

interface TierRow {
  /** The directory's table. */
  readonly table: string;
  readonly place: PeriodPlace;
}

export const showTiers = showCommand<TierRow>({
  name: 'TIERS',
  help: 'The periods of vindexes of type tiered: where each is, and where it is to go',
  columns: [
    { name: 'table', type: 'text', of: ({ table }) => table },
    { name: 'period', type: 'text', of: ({ place }) => place.label },
    { name: 'shard', type: 'text', of: ({ place }) => place.shard },
    { name: 'tier', type: 'int4', of: ({ place }) => place.tier + 1 },
    { name: 'state', type: 'text', of: ({ place }) => stateOf(place) },
    { name: 'to', type: 'text', of: ({ place }) => place.next },
  ],
  items: async ({ proxy, tiers }) => {
    const directories = proxy.config.topology.directories.filter(({ periods }) => periods !== null);
    const lists = await Promise.all(
      directories.map(async (directory) => {
        const table = `${directory.table.schema}.${directory.table.name}`;
        return (await tiers.list(directory)).map((place) => ({ table, place }));
      }),
    );
    return lists.flat();
  },
});

function stateOf({ moving, next }: PeriodPlace): string {
  if (moving) return 'moving';
  return next === null ? 'stays' : 'due';
}

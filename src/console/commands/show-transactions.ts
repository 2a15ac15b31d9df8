import type { InDoubtLeg } from '../../transaction/in-doubt.js';
import { showCommand } from '../show.js';

/** A row for each participant, so that it can be seen which shards still hold locks. */
export const showTransactions = showCommand<InDoubtLeg>({
  name: 'TRANSACTIONS',
  help: 'Transactions over several shards that are prepared and wait for their outcome, oldest first',
  columns: [
    { name: 'gid', type: 'text', of: ({ gid }) => gid },
    { name: 'database', type: 'text', of: ({ shard }) => shard.name },
    { name: 'keyspace', type: 'text', of: ({ shard }) => shard.keyspace },
    { name: 'prepared_at', type: 'text', of: ({ preparedAt }) => preparedAt },
    { name: 'age', type: 'int4', of: ({ ageMs }) => Math.floor(ageMs / 1000) },
    { name: 'decider', type: 'text', of: ({ decider }) => decider?.name ?? null },
    { name: 'decision', type: 'text', of: ({ decision }) => decision },
  ],
  items: ({ inDoubt }) => inDoubt(),
});

import { actionCommand } from '../action.js';
import { poolsNamed } from '../pools-named.js';

export const pause = actionCommand({
  name: 'PAUSE',
  usage: '[shard]',
  help: 'Lets transactions end, then closes the connections to the shards; new statements wait for RESUME',
  argumentsMax: 1,
  run: async (context, [name]) => {
    await Promise.all(poolsNamed(context, name).map((pool) => pool.pause()));
  },
});

import { actionCommand } from '../action.js';
import { poolsNamed } from '../pools-named.js';

export const reconnect = actionCommand({
  name: 'RECONNECT',
  usage: '[shard]',
  help: 'Closes the connections to the shards as soon as nobody uses them; new ones take their place',
  argumentsMax: 1,
  run: (context, [name]) => {
    for (const pool of poolsNamed(context, name)) pool.renew();
  },
});

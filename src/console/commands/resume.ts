import { sqlError } from '../../errors/sql-error.js';
import { actionCommand } from '../action.js';
import { poolsNamed } from '../pools-named.js';

export const resume = actionCommand({
  name: 'RESUME',
  usage: '[shard]',
  help: 'Ends a PAUSE: what waits goes on',
  argumentsMax: 1,
  run: (context, [name]) => {
    const paused = poolsNamed(context, name).filter((pool) => pool.isPaused);
    if (paused.length === 0) {
      throw sqlError('object_not_in_prerequisite_state', 'nothing of that is paused');
    }
    for (const pool of paused) pool.resume();
  },
});

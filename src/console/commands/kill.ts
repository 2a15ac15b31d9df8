import { sqlError } from '../../errors/sql-error.js';
import { actionCommand } from '../action.js';

export const kill = actionCommand({
  name: 'KILL',
  usage: 'client id',
  help: 'Ends the session of a client, whose id SHOW CLIENTS has',
  argumentsMin: 1,
  run: ({ clients }, [wanted]) => {
    for (const { info, target } of clients()) {
      if (String(info.id) !== wanted) continue;
      // Behind this command's own answer: it may be this very console.
      setImmediate(() => target.shutDown());
      return;
    }
    throw sqlError('undefined_object', `there is no client "${wanted}"`, {
      hint: 'SHOW CLIENTS lists them; their column id is meant.',
    });
  },
});

import { sqlError } from '../../errors/sql-error.js';
import { actionCommand } from '../action.js';

export const shutdown = actionCommand({
  name: 'SHUTDOWN',
  usage: '[WAIT_FOR_CLIENTS]',
  help: 'Stops as SIGTERM does, within drain_timeout; or once all clients have left by themselves',
  argumentsMax: 1,
  run: ({ shutDown }, [how]) => {
    if (how !== undefined && how !== 'wait_for_clients') {
      throw sqlError('syntax_error', 'usage: SHUTDOWN [WAIT_FOR_CLIENTS]');
    }
    shutDown(how !== undefined);
  },
});

import { sqlError } from '../../errors/sql-error.js';
import { actionCommand } from '../action.js';

export const reload = actionCommand({
  name: 'RELOAD',
  help: 'Reads the configuration file again',
  run: async ({ reload: read }) => {
    const problems = await read();
    if (problems.length === 0) return;
    throw sqlError('config_file_error', 'the new configuration cannot be used; the old one stays', {
      detail: problems.join('\n'),
    });
  },
});

import { sqlError } from '../../errors/sql-error.js';
import { actionCommand } from '../action.js';
import type { ConsoleContext } from '../console-context.js';

export const disable = actionCommand({
  name: 'DISABLE',
  usage: '[database]',
  help: 'Lets no new clients in; those who are there stay',
  argumentsMax: 1,
  run: (context, [name]) => {
    checkDatabase(context, name);
    context.door.disabled = true;
  },
});

export const enable = actionCommand({
  name: 'ENABLE',
  usage: '[database]',
  help: 'Lets clients in again',
  argumentsMax: 1,
  run: (context, [name]) => {
    checkDatabase(context, name);
    context.door.disabled = false;
  },
});

function checkDatabase({ proxy }: ConsoleContext, name: string | undefined): void {
  const { database } = proxy.config;
  if (name === undefined || name === database) return;
  throw sqlError('undefined_object', `there is no database "${name}"`, {
    hint: `Clients connect to "${database}".`,
  });
}

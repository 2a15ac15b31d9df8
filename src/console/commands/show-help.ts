import type { ConsoleCommand } from '../command.js';
import { showCommand } from '../show.js';

/** SHOW HELP lists these commands and itself. */
export function showHelp(others: readonly ConsoleCommand[]): ConsoleCommand {
  const help: ConsoleCommand = showCommand<ConsoleCommand>({
    name: 'HELP',
    help: 'This list',
    columns: [
      {
        name: 'command',
        type: 'text',
        // `.name` belongs to the word in front of it.
        of: ({ words, usage }) => [...words, usage].join(' ').replace(' .', '.').trim(),
      },
      { name: 'access', type: 'text', of: ({ access }) => access },
      { name: 'help', type: 'text', of: (command) => command.help },
    ],
    items: () => [...others, help],
  });
  return help;
}

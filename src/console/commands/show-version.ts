import { showCommand } from '../show.js';

export const showVersion = showCommand({
  name: 'VERSION',
  help: 'The release of Shardgate',
  columns: [{ name: 'version', type: 'text', of: (version: string) => version }],
  items: ({ version }) => [`Shardgate ${version}`],
});

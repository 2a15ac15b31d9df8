import { settingsOf, type SettingRow } from '../config-settings.js';
import { showCommand } from '../show.js';

export const showConfig = showCommand<SettingRow>({
  name: 'CONFIG',
  help: 'The settings of the configuration file; RELOAD applies what is changeable',
  columns: [
    { name: 'key', type: 'text', of: ({ key }) => key },
    { name: 'value', type: 'text', of: ({ value }) => value },
    { name: 'default', type: 'text', of: (row) => row.default },
    { name: 'changeable', type: 'text', of: ({ changeable }) => (changeable ? 'yes' : 'no') },
  ],
  items: ({ proxy }) => settingsOf(proxy.config.source.values),
});

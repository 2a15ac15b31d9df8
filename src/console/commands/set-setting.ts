import { CHANGED_SECTIONS } from '../../config/overrides.js';
import { sqlError } from '../../errors/sql-error.js';
import type { CommandText } from '../command-text.js';
import { NO_ROWS, type ConsoleCommand } from '../command.js';
import { settingsOf } from '../config-settings.js';

/** SET of the proxy's own settings, one command each section: `SET limits.max_clients = 500`. */
export const setSettings: readonly ConsoleCommand[] = [...CHANGED_SECTIONS, 'drain_timeout'].map(
  (section) => setSetting(section),
);

function setSetting(section: string): ConsoleCommand {
  const isSection = section !== 'drain_timeout';
  return {
    words: ['SET', section.toUpperCase()],
    usage: isSection ? '.name = value' : '= value',
    help: 'Changes a setting of the proxy until the next RELOAD',
    access: 'admin',
    prepare: (text, context) => {
      const { key, value } = readSetting(text, section, isSection);
      const known = settingsOf({}).some((row) => row.key === key && row.changeable);
      if (!known) {
        throw sqlError('undefined_object', `there is no setting "${key}"`, {
          hint: 'SHOW CONFIG lists them.',
        });
      }
      return {
        tag: 'SET',
        columns: null,
        paramCount: 0,
        run: async () => {
          const problem = await context.set(key, value);
          if (problem === null) return NO_ROWS;
          throw sqlError('invalid_parameter_value', `${key}: ${problem.message}`, {
            hint: problem.cure,
          });
        },
      };
    },
  };
}

function readSetting(
  text: CommandText,
  section: string,
  isSection: boolean,
): { readonly key: string; readonly value: string } {
  const at = isSection ? 4 : 2;
  const isNamed = !isSection || (text.word(2) === '.' && text.wordCount > 3);
  const isSet = text.word(at) === '=' || text.word(at)?.toUpperCase() === 'TO';
  if (!isNamed || !isSet || text.wordCount < at + 2) {
    throw sqlError('syntax_error', `usage: SET ${section}${isSection ? '.name' : ''} = value`);
  }
  const isText = text.wordCount === at + 2 && text.word(at + 1)!.startsWith("'");
  const value = isText ? text.value(at + 1)! : text.from(at + 1);
  return { key: isSection ? `${section}.${text.value(3)!}` : section, value };
}

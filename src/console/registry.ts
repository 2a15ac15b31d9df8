import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { ConsoleCommand, ConsoleRole } from './command.js';
import type { CommandText } from './command-text.js';
import { audit } from './commands/audit.js';
import { disable, enable } from './commands/disable.js';
import { kill } from './commands/kill.js';
import { move } from './commands/move.js';
import { pause } from './commands/pause.js';
import { reconnect } from './commands/reconnect.js';
import { reload } from './commands/reload.js';
import { repair } from './commands/repair.js';
import { resume } from './commands/resume.js';
import { route } from './commands/route.js';
import { set } from './commands/set.js';
import { setSettings } from './commands/set-setting.js';
import { showClients } from './commands/show-clients.js';
import { showConfig } from './commands/show-config.js';
import { showDatabases } from './commands/show-databases.js';
import { showDdl } from './commands/show-ddl.js';
import { showHelp } from './commands/show-help.js';
import { showHotkeys } from './commands/show-hotkeys.js';
import { showKeyspaces } from './commands/show-keyspaces.js';
import { showLists } from './commands/show-lists.js';
import { showMem } from './commands/show-mem.js';
import { showPools } from './commands/show-pools.js';
import { showQueries } from './commands/show-queries.js';
import { showRoutes } from './commands/show-routes.js';
import { showSchemaDifferences } from './commands/show-schema-differences.js';
import { showServers } from './commands/show-servers.js';
import { showShardFor } from './commands/show-shard-for.js';
import { showShards } from './commands/show-shards.js';
import {
  showStats,
  showStatsAverages,
  showStatsTotals,
  showTotals,
} from './commands/show-stats.js';
import { showTables } from './commands/show-tables.js';
import { showTiers } from './commands/show-tiers.js';
import { showTransactions } from './commands/show-transactions.js';
import { showUsers } from './commands/show-users.js';
import { showVersion } from './commands/show-version.js';
import { showVindexes } from './commands/show-vindexes.js';
import { shutdown } from './commands/shutdown.js';
import { tier } from './commands/tier.js';
import { begin, commit, rollback } from './commands/transaction.js';

/** In the order of SHOW HELP. A new command is a file in `commands/` and a line here. */
const listed: readonly ConsoleCommand[] = [
  showPools,
  showClients,
  showServers,
  showDatabases,
  showUsers,
  showStats,
  showStatsTotals,
  showStatsAverages,
  showTotals,
  showLists,
  showMem,
  showConfig,
  showQueries,
  showRoutes,
  showHotkeys,
  showTransactions,
  showDdl,
  showSchemaDifferences,
  showVersion,
  showKeyspaces,
  showShards,
  showTables,
  showVindexes,
  showTiers,
  showShardFor,
  route,
  audit,
  repair,
  move,
  tier,
  pause,
  resume,
  disable,
  enable,
  reconnect,
  kill,
  reload,
  shutdown,
  set,
  ...setSettings,
  begin,
  commit,
  rollback,
];

/** Every command of the console. */
export const commands: readonly ConsoleCommand[] = [...listed, showHelp(listed)];

/** The command that a text begins with. Throws SqlError: 0A000 where there is none, 42501. */
export function findCommand(text: CommandText, role: ConsoleRole): ConsoleCommand {
  let found: ConsoleCommand | null = null;
  for (const command of commands) {
    const longer = found === null || command.words.length > found.words.length;
    if (longer && text.beginsWith(command.words)) found = command;
  }
  if (found === null) throw unknownCommand(text);
  if (found.access === 'admin' && role !== 'admin') {
    const name = found.words.join(' ');
    throw sqlError('insufficient_privilege', `permission denied: ${name} is for admins`);
  }
  return found;
}

const SHOWN_CHARACTERS_MAX = 60;

function unknownCommand(text: CommandText): SqlError {
  const whole = text.from(0);
  const shown =
    whole.length > SHOWN_CHARACTERS_MAX ? `${whole.slice(0, SHOWN_CHARACTERS_MAX)}...` : whole;
  return sqlError('feature_not_supported', `invalid command "${shown}"`, {
    hint: 'This is the console of Shardgate, which takes no SQL; SHOW HELP lists its commands.',
  });
}

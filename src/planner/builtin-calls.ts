import type { Analysis } from './analysis.js';
import {
  catalogFunctions,
  differsByShard,
  harmlessVolatile,
  meetsSessions,
  readsNamedTables,
  serverReports,
  sessionLocks,
  sessionUnlocks,
} from './builtin-functions.js';
import { refuse } from './refusals.js';

/** What a call of a built-in function does beyond computing a value. Throws Refused. */
export function inspectBuiltin(name: string, analysis: Analysis): void {
  if (differsByShard.test(name)) analysis.volatileFunction ??= name;
  if (catalogFunctions.test(name)) analysis.readsCatalog = true;
  refuseReaders(name);
  if (!analysis.names.catalog.volatileBuiltins.has(name)) return;
  analysis.volatileFunction ??= name;
  if (harmlessVolatile.has(name) || serverReports.test(name)) return;
  inspectEffect(name, analysis);
}

function refuseReaders(name: string): void {
  if (name === 'pg_listening_channels') {
    refuse(
      `function "${name}" is not supported: it asks a server session, which clients share`,
      'Keep track of what the client listens to.',
    );
  }
  if (!readsNamedTables.test(name)) return;
  refuse(
    `function "${name}" is not supported: it reads what its arguments name, which may lie on other shards`,
    'Query the tables directly.',
  );
}

function inspectEffect(name: string, analysis: Analysis): void {
  if (meetsSessions(name)) {
    const { touched } = analysis.names;
    if (name === 'pg_notify') touched.add('notify');
    if (sessionLocks.test(name)) touched.add('advisoryLock');
    if (sessionUnlocks.test(name)) touched.add('advisoryUnlock');
    analysis.readsCatalog = true;
    analysis.meetsOthers = true;
    analysis.writes = true;
    return;
  }
  switch (name) {
    case 'nextval':
    case 'setval':
      analysis.writes = true;
      analysis.names.touched.add(name);
      return;
    case 'set_config':
      return;
    case 'currval':
    case 'lastval':
      refuse(
        `function "${name}" is not supported: it belongs to a server session, which clients share`,
        'Use INSERT ... RETURNING, or keep the result of nextval().',
      );
      break;
    case 'setseed':
      refuse(
        'function "setseed" is not supported: it belongs to a server session, which clients share',
        'Generate repeatable random numbers in the client.',
      );
      break;
    case 'pg_export_snapshot':
      refuse(
        'function "pg_export_snapshot" is not supported: a snapshot belongs to one shard',
        'Export a snapshot on a direct connection to the shard.',
      );
      break;
    case 'pg_cancel_backend':
    case 'pg_terminate_backend':
      refuse(
        `function "${name}" is only supported in a SELECT without FROM, with one process id`,
        "Give it the id that a session got at login, or from pg_backend_pid(); a server's processes are shared.",
      );
      break;
    default:
  }
  refuse(
    `function "${name}" is not supported through Shardgate`,
    'Call it on a direct connection to the server it is meant for.',
  );
}

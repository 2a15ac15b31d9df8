import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { ensureBuilt } from '../../scripts/lib/build.mjs';
import { copyDataFolder, makeDataFolder } from '../../scripts/lib/data-folder.mjs';
import { postgresBin } from '../../scripts/lib/postgres-binaries.mjs';
import { PostgresServer } from '../../scripts/lib/postgres-server.mjs';
import { canWorkIn, serverUser } from '../../scripts/lib/unprivileged-user.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';
import { serverNames, type ServerName, type ServerUrls } from './servers.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser URL of a plain PostgreSQL 18, the one that answers are compared with. */
    oracleUrl: string;
    /** Superuser URLs of the five servers behind a proxy. */
    shardUrls: Omit<ServerUrls, 'oracle'>;
    /** The bin folder of the servers: `postgres` and `initdb`. */
    pgBin: string;
  }
}

/**
 * Once per run of the integration tests: six empty PostgreSQL servers in a temporary folder, and a
 * build of the proxy. Returns what stops and deletes all of it.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = performance.now();
  await ensureBuilt({ keepGoing: true });
  const user = serverUser();
  const bin = postgresBin(user);
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-test-'));
  removeAtEnd(folder);
  if (user !== null) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  if (!canWorkIn(folder, user)) throw new Error(`${user?.name} cannot reach ${folder}`);

  const template = join(folder, 'template');
  const common = { bin, user, password: null };
  await makeDataFolder({ ...common, folder: template, durable: false, settings: testSettings });
  mkdirSync(join(folder, 'logs'));
  const servers = await Promise.all(
    serverNames.map(async (name): Promise<[ServerName, PostgresServer]> => {
      const dataFolder = join(folder, name);
      await copyDataFolder(template, dataFolder, user);
      const logFile = join(folder, 'logs', `${name}.log`);
      return [name, await PostgresServer.start({ ...common, name, dataFolder, logFile })];
    }),
  );
  const byName = new Map(servers);
  const url = (name: ServerName): string => byName.get(name)!.url();
  project.provide('oracleUrl', url('oracle'));
  project.provide('shardUrls', {
    main: url('main'),
    s0: url('s0'),
    s1: url('s1'),
    s2: url('s2'),
    s3: url('s3'),
  });
  project.provide('pgBin', bin);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`Six PostgreSQL servers run (${seconds} s), logs in ${folder}/logs`);
  return async () => {
    await Promise.all(servers.map(([, server]) => server.stopNow()));
    rmSync(folder, { recursive: true, force: true });
  };
}

/** What a failing test may be asked about: every statement with its time, in the server's log. */
const testSettings = {
  log_statement: 'all',
  log_line_prefix: '%m %d %a ',
  timezone: 'UTC',
};

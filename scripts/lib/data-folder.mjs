// @ts-check
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { chownSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StepError } from './project.mjs';
import { spawnIdentity } from './unprivileged-user.mjs';

/** @typedef {import('./unprivileged-user.mjs').SystemUser} SystemUser */

/**
 * @typedef {object} DataFolderOptions
 * @property {string} bin folder of initdb
 * @property {string} folder absolute path of the data folder to make
 * @property {SystemUser | null} user who owns it and runs the server
 * @property {string | null} password of the superuser `postgres`; null: no server asks for one
 * @property {boolean} durable false for tests: files are not flushed to disk
 * @property {Readonly<Record<string, string>>} settings for postgresql.conf
 */

/** Settings that Shardgate needs of every server, or that suit many small servers on one machine. */
const commonSettings = {
  max_connections: '200',
  max_prepared_transactions: '100',
  wal_level: 'logical',
  shared_buffers: '32MB',
  min_wal_size: '32MB',
  max_wal_size: '256MB',
  // A few backends ask at once; workers and JIT only make the times of small queries uneven.
  max_parallel_workers_per_gather: '0',
  jit: 'off',
};

/** Nothing of a test cluster has to survive a crash. */
const fastSettings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/**
 * Makes a data folder. The built-in provider's C.UTF-8 compares text by code point and knows the
 * letters of Unicode: the same on every machine, whatever locales that has. Servers older than 17
 * do not have the provider, but these are all of one version.
 * @param {DataFolderOptions} options
 */
export async function makeDataFolder({ bin, folder, user, password, durable, settings }) {
  // A broken-off initdb leaves a folder that no server starts from, hence the other name.
  const partial = `${folder}.partial`;
  const passwordFile = `${folder}.password`;
  rmSync(partial, { recursive: true, force: true });
  const args = [
    `--pgdata=${partial}`,
    '--username=postgres',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
  if (!durable) args.push('--no-sync');
  const all = { ...commonSettings, ...(durable ? {} : fastSettings), ...settings };
  for (const [name, value] of Object.entries(all)) args.push('--set', `${name}=${value}`);
  if (password === null) {
    args.push('--auth=trust');
  } else {
    args.push('--auth=scram-sha-256', `--pwfile=${passwordFile}`);
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (user !== null) chownSync(passwordFile, user.uid, user.gid);
  }
  try {
    await runAs(join(bin, 'initdb'), args, user, dirname(folder));
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(partial, folder);
}

/**
 * Makes a data folder from one whose server does not run: a second instead of an initdb's several.
 * @param {string} from
 * @param {string} to
 * @param {SystemUser | null} user
 */
export async function copyDataFolder(from, to, user) {
  await runAs('cp', ['-R', from, to], user, dirname(to));
}

/**
 * The pid of the server that runs on a data folder; null where none does. A pid file that a crash
 * left behind may name a process that has nothing to do with it.
 * @param {string} folder
 * @returns {Promise<number | null>}
 */
export async function runningServer(folder) {
  const file = join(folder, 'postmaster.pid');
  if (!existsSync(file)) return null;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 1) return null;
  const command = await capture('ps', ['-o', 'command=', '-p', String(pid)]);
  return command.includes(folder) ? pid : null;
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {SystemUser | null} user
 * @param {string} cwd a folder that the user can enter
 */
function runAs(program, args, user, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...spawnIdentity(user),
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(undefined);
      else reject(new StepError(`${program} failed`, output.trim().split('\n').slice(-15)));
    });
  });
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {Promise<string>} its standard output, empty where it fails
 */
function capture(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.once('error', () => {
      resolve('');
    });
    child.once('close', () => {
      resolve(output);
    });
  });
}

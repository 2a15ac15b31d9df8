// @ts-check
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { chownSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { projectRoot, StepError } from '../project.mjs';

/**
 * Everything of `npm start` is below this folder; deleting it starts afresh. SHARDGATE_HOME names another one,
 * for a second cluster beside the first.
 */
export const homeFolder = resolve(process.env['SHARDGATE_HOME'] ?? join(projectRoot, '.shardgate'));
export const configFile = join(homeFolder, 'shardgate.yaml');
export const logFolder = join(homeFolder, 'logs');
const stateFile = join(homeFolder, 'state.json');
const lockFile = join(homeFolder, 'lock');

/**
 * What is remembered between starts.
 * @typedef {object} State
 * @property {string} superuserPassword of `postgres` on all servers
 * @property {string} appPassword of `app` on all servers
 * @property {Record<string, number>} ports of the servers by name
 * @property {'none' | 'partial' | 'loaded'} sample whether the sample tables are there
 */

/** @returns {State} that of the last start; a new one at the first */
export function readState() {
  mkdirSync(logFolder, { recursive: true });
  if (existsSync(stateFile)) return JSON.parse(readFileSync(stateFile, 'utf8'));
  const secret = () => randomBytes(18).toString('base64url');
  return { superuserPassword: secret(), appPassword: secret(), ports: {}, sample: 'none' };
}

/** @param {State} state */
export function writeState(state) {
  writePrivately(stateFile, `${JSON.stringify(state, null, 2)}\n`);
}

/**
 * Replaces a file in one step, readable by the folder's owner alone: it holds passwords.
 * @param {string} file
 * @param {string} text
 */
export function writePrivately(file, text) {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  // One start as root must not take the cluster from its owner.
  const { uid, gid } = statSync(homeFolder);
  if (process.getuid?.() === 0) chownSync(`${file}.new`, uid, gid);
  renameSync(`${file}.new`, file);
}

/**
 * Keeps a second `npm start` off the same servers.
 * @returns {() => void} lets the lock go
 */
export function lock() {
  mkdirSync(homeFolder, { recursive: true });
  for (;;) {
    try {
      const file = openSync(lockFile, 'wx');
      writeFileSync(file, String(process.pid));
      closeSync(file);
      return () => {
        rmSync(lockFile, { force: true });
      };
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
      const pid = Number(readFileSync(lockFile, 'utf8'));
      if (isRunning(pid)) {
        throw new StepError(`this cluster is running already, started by process ${pid}`, [
          'Stop that one with Ctrl-C first.',
        ]);
      }
      rmSync(lockFile, { force: true });
    }
  }
}

/** @param {number} pid */
function isRunning(pid) {
  if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
  }
  // A pid that was given to another program since the last start broke off.
  const command = commandOf(pid);
  return command === null || command.includes('start.mjs');
}

/**
 * @param {number} pid
 * @returns {string | null} null where the system does not say
 */
function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return null;
  }
}

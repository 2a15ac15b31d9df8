// @ts-check
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { StepError } from './project.mjs';

/** @typedef {{ name: string, uid: number, gid: number }} SystemUser */

/**
 * The user that servers run as: null for "the one we are", since PostgreSQL refuses to run only as
 * root. Root hands over to the owner of what an ordinary user made before, else to `postgres`, else
 * to `nobody`.
 * @param {string} [folder] with data folders, where they may be there already
 * @returns {SystemUser | null}
 */
export function serverUser(folder) {
  if (process.getuid?.() !== 0) return null;
  const owner = folder === undefined ? undefined : statSync(folder, { throwIfNoEntry: false });
  if (owner !== undefined && owner.uid !== 0) {
    return { name: `user ${owner.uid}`, uid: owner.uid, gid: owner.gid };
  }
  const users = readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const match = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(users);
    if (match !== null) return { name, uid: Number(match[1]), gid: Number(match[2]) };
  }
  throw new StepError('PostgreSQL does not run as root, and there is no user to run it as', [
    'Add a user named postgres, or start this as an ordinary user.',
  ]);
}

/**
 * What `spawn` needs to run something as that user.
 * @param {SystemUser | null} user
 * @returns {{ uid?: number, gid?: number }}
 */
export function spawnIdentity(user) {
  return user === null ? {} : { uid: user.uid, gid: user.gid };
}

/**
 * Can that user start this program? Every folder above it has a say, so it is tried.
 * @param {string} program
 * @param {SystemUser | null} user
 */
export function canRun(program, user) {
  const result = spawnSync(program, ['--version'], { cwd: '/', ...spawnIdentity(user) });
  return result.error === undefined && result.status === 0;
}

/**
 * Makes a folder that belongs to the server's user, private to it.
 * @param {string} folder absolute
 * @param {SystemUser | null} user
 */
export function makePrivateFolder(folder, user) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const owner = user?.uid ?? process.getuid?.();
  const stat = lstatSync(folder);
  if (!stat.isDirectory()) throw new StepError(`${folder} is not a folder`);
  // Below /var/tmp anybody may have made a folder of this name first; only our own is trusted.
  if (stat.uid !== owner && stat.uid !== process.getuid?.()) {
    throw new StepError(`${folder} belongs to another user`, ['Remove it and start again.']);
  }
  if (user !== null) chownSync(folder, user.uid, user.gid);
}

/**
 * Can that user work inside this folder? Every folder above it has a say, so it is tried.
 * @param {string} folder
 * @param {SystemUser | null} user
 */
export function canWorkIn(folder, user) {
  const script = 'cd "$1" && test -w . && test -x .';
  const result = spawnSync('/bin/sh', ['-c', script, 'sh', folder], {
    cwd: '/',
    ...spawnIdentity(user),
  });
  return result.status === 0;
}

/** Temporary files that outlive a restart of the machine go to /var/tmp, where there is one. */
export function lastingTemporaryFolder() {
  return existsSync('/var/tmp') ? '/var/tmp' : tmpdir();
}

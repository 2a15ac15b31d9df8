// @ts-check
import { readFileSync } from 'node:fs';
import { run } from './commands.mjs';
import { projectRoot, StepError } from './project.mjs';

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, link?: boolean,
 *   os?: string[], cpu?: string[], libc?: string[] }} LockedPackage
 * @typedef {Record<string, LockedPackage>} LockedPackages
 */

/**
 * Installs the packages of package-lock.json where node_modules differs from it. Needs no network
 * where it does not.
 */
export async function ensureInstalled() {
  const missing = firstDifference(
    readPackages(`${projectRoot}package-lock.json`),
    readPackages(`${projectRoot}node_modules/.package-lock.json`),
    { os: process.platform, cpu: process.arch },
  );
  if (missing === null) return;
  console.log(`Installing packages (${missing})...`);
  const code = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  if (code !== 0) {
    throw new StepError(`npm ci ended with exit code ${code}`, [
      'Packages are downloaded once; later starts need no network.',
    ]);
  }
}

/**
 * What keeps an installation from being that of the lock file; null where nothing does. npm leaves
 * a lock file of its own in node_modules as its last step, so a broken-off installation differs.
 * @param {LockedPackages | null} locked packages of package-lock.json
 * @param {LockedPackages | null} installed packages of node_modules/.package-lock.json
 * @param {{ os: string, cpu: string }} platform
 * @returns {string | null}
 */
export function firstDifference(locked, installed, platform) {
  if (locked === null) throw new StepError('package-lock.json is missing');
  if (installed === null) return 'none are installed yet';
  for (const [path, wanted] of Object.entries(locked)) {
    if (path === '' || wanted.link === true) continue;
    const name = path.replace(/^.*node_modules\//, '');
    const found = installed[path];
    if (found === undefined) {
      if (isRequired(wanted, platform)) return `${name} is missing`;
    } else if (found.version !== wanted.version || found.integrity !== wanted.integrity) {
      return `${name} is not version ${wanted.version}`;
    }
  }
  return null;
}

/**
 * npm leaves out packages for other platforms. Which C library this machine has is not looked into:
 * packages that come once per C library are taken as present.
 * @param {LockedPackage} wanted
 * @param {{ os: string, cpu: string }} platform
 */
function isRequired(wanted, platform) {
  if (wanted.optional !== true) return true;
  if (wanted.os === undefined || wanted.cpu === undefined || wanted.libc !== undefined)
    return false;
  return wanted.os.includes(platform.os) && wanted.cpu.includes(platform.cpu);
}

/**
 * @param {string} file
 * @returns {LockedPackages | null} null where there is no such file
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return null;
  }
}

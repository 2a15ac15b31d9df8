// @ts-check
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './commands.mjs';
import { projectRoot, StepError } from './project.mjs';

const dist = join(projectRoot, 'dist');
/** Holds the hash of the sources that dist/ was made from. */
const stampFile = join(dist, '.sources.sha256');

/**
 * Compiles src/ to dist/.
 * @param {{ keepGoing?: boolean }} [options] `keepGoing`: type errors are printed but do not fail the
 *   build, for tests of a tree that is being worked on (the type check fails there anyway)
 */
export async function build({ keepGoing = false } = {}) {
  const hash = hashSources();
  const code = await runTool('typescript/bin/tsc', ['-p', 'tsconfig.json']);
  if (code !== 0 && !keepGoing) throw new StepError('src/ does not compile; see above');
  removeOrphans();
  const main = join(dist, 'main.js');
  if (existsSync(main)) chmodSync(main, 0o755);
  if (code === 0) writeFileSync(stampFile, hash);
}

/**
 * Builds where sources changed since the last build.
 * @param {{ keepGoing?: boolean }} [options] as for `build`
 */
export async function ensureBuilt(options = {}) {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === hashSources()) return;
  console.log('Building dist/ from src/...');
  await build(options);
}

/** File times say nothing after a git checkout, so contents are compared. */
function hashSources() {
  const hash = createHash('sha256');
  for (const file of ['package-lock.json', 'tsconfig.json', ...sourceFiles()]) {
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(projectRoot, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

function sourceFiles() {
  return filesBelow('src').filter((file) => file.endsWith('.ts') || file.endsWith('.json'));
}

/** Output whose source is gone would go on working, until it is missed on another machine. */
function removeOrphans() {
  const expected = new Set(
    sourceFiles().flatMap((file) => {
      const base = file.replace(/^src/, 'dist').replace(/\.ts$/, '');
      return file.endsWith('.json') ? [base] : [`${base}.js`, `${base}.js.map`];
    }),
  );
  for (const file of filesBelow('dist')) {
    if (/\.(js|js\.map|json)$/.test(file) && !expected.has(file)) rmSync(join(projectRoot, file));
  }
}

/**
 * @param {string} folder
 * @returns {string[]} paths below the project's root, sorted
 */
function filesBelow(folder) {
  return readdirSync(join(projectRoot, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(projectRoot.length))
    .sort();
}

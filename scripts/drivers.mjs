// @ts-check
// `npm run test:drivers`: installs the drivers of all languages where that is possible (Debian's
// packages as root, those of Node.js in test/drivers/node), then tests every one of them.
// `npm run test:drivers -- --install`: only the first part.
import { spawnSync } from 'node:child_process';
import { ensureInstalled } from './lib/install.mjs';
import { run } from './lib/commands.mjs';
import { printFailure, projectRoot, StepError } from './lib/project.mjs';
import { runTests, summarise } from './lib/test-run.mjs';

const DEBIAN_PACKAGES = [
  ...['python3-psycopg2', 'python3-psycopg', 'python3-asyncpg', 'python3-sqlalchemy'],
  ...['python3-alembic', 'python3-django', 'python3-pyodbc', 'odbc-postgresql', 'unixodbc'],
  ...['libpostgresql-jdbc-java', 'default-jdk-headless', 'ruby-pg', 'ruby-activerecord'],
  ...['php-cli', 'php-pgsql', 'libdbd-pg-perl'],
  ...['golang-go', 'golang-github-lib-pq-dev', 'golang-github-jackc-pgx-v4-dev'],
];

/** @param {string} file @param {string[]} args */
async function step(file, args) {
  const code = await run(file, args);
  if (code !== 0) throw new StepError(`${file} ${args[0]} ended with exit code ${code}`);
}

async function installDebianPackages() {
  const query = ['-W', '-f', '${db:Status-Abbrev}\n', ...DEBIAN_PACKAGES];
  const { status, stdout } = spawnSync('dpkg-query', query, { encoding: 'utf8' });
  const lines = stdout?.trim().split('\n') ?? [];
  if (status === 0 && lines.every((line) => line.startsWith('ii'))) return;
  if (process.getuid?.() !== 0) {
    throw new StepError('Debian packages are missing', [
      `Install them as root: apt-get install ${DEBIAN_PACKAGES.join(' ')}`,
    ]);
  }
  await step('apt-get', ['update', '-qq']);
  const options = ['-y', '-qq', '--no-install-recommends'];
  await step('apt-get', ['install', ...options, ...DEBIAN_PACKAGES]);
}

async function install() {
  await ensureInstalled();
  await installDebianPackages();
  const folder = `${projectRoot}test/drivers/node`;
  await step('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund']);
}

/** @param {string[]} filters */
async function test(filters) {
  process.env['SHARDGATE_DRIVERS'] = 'all';
  const { code, counts } = await runTests(['test/drivers', ...filters]);
  const { line, failed } = summarise(counts, { passed: [], failed: [] }, code);
  console.log(`\n${line}`);
  process.exitCode = failed ? 1 : 0;
}

try {
  const args = process.argv.slice(2);
  await install();
  if (!args.includes('--install')) await test(args);
} catch (error) {
  printFailure(error);
  process.exitCode = 1;
}

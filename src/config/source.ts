import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** What a configuration was made from. */
export interface ConfigSource {
  /** Digests of the file and of all that it names (certificates, secrets), by absolute path; null: not readable. */
  readonly files: FileDigests;
  /** What the file itself says, as plain JavaScript; secrets are in it. Null: it has too many aliases. */
  readonly values: unknown;
}

export type FileDigests = ReadonlyMap<string, string | null>;

/** `text` null: the file cannot be read. */
export function digestOf(text: string | null): string | null {
  return text === null ? null : createHash('sha256').update(text).digest('base64');
}

/** Digests of these files as they are now. */
export async function readDigests(paths: Iterable<string>): Promise<FileDigests> {
  const digests = [...paths].map(async (path): Promise<[string, string | null]> => {
    try {
      return [path, digestOf(await readFile(path, 'utf8'))];
    } catch {
      return [path, null];
    }
  });
  return new Map(await Promise.all(digests));
}

export function sameDigests(a: FileDigests, b: FileDigests): boolean {
  return a.size === b.size && [...a].every(([path, digest]) => b.get(path) === digest);
}

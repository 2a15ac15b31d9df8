import { readFileSync } from 'node:fs';

/** What a real server says about a broken statement. `position`: 1-based, in characters. */
export interface GoldenError {
  readonly sql: string;
  readonly code: string;
  readonly message: string;
  readonly position: number | null;
  readonly hint: string | null;
}

/** Made by golden/make-syntax-errors.mjs from the broken statements of the corpus. */
export function goldenErrors(): readonly GoldenError[] {
  const file = new URL('golden/syntax-errors.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as GoldenError[];
}

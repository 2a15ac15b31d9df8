import type { FileDigests } from './source.js';

/**
 * One fault of a configuration file. Neither text ever holds a secret or the value of an
 * environment variable.
 */
export interface ConfigProblem {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 code units as editors count. */
  readonly column: number;
  /** What is wrong. */
  readonly message: string;
  /** What to write instead. */
  readonly cure: string;
}

/**
 * `file:line:column: what is wrong; what to write instead`, which editors and terminals turn into a
 * link.
 */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, message, cure } = problem;
  return `${file}:${line}:${column}: ${message}; ${cure}`;
}

/**
 * Every fault of a file at once, in the order of their lines. The only error that reading a
 * configuration throws.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** At least one. */
  readonly problems: readonly ConfigProblem[];
  /** The files that were read, or that could not be. */
  readonly files: FileDigests;

  constructor(problems: readonly ConfigProblem[], files: FileDigests = new Map()) {
    const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
    super(sorted.map(formatProblem).join('\n'));
    this.problems = Object.freeze(sorted);
    this.files = files;
  }
}

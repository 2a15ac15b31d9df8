/**
 * The seed of a test of random statements: that of an environment variable; in CI always the same one, so that a run
 * judges what has changed; else a new one, so that runs together look further.
 */
export function seedFrom(variable: string): number {
  const given = process.env[variable];
  if (given !== undefined) return Number(given);
  return process.env['CI'] === undefined ? Math.floor(Math.random() * 2 ** 31) : CI_SEED;
}

const CI_SEED = 1;

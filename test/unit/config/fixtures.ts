import { expect } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { loadConfigText } from '../../../src/config/load.js';
import { ConfigError, formatProblem, type ConfigProblem } from '../../../src/config/problems.js';

/** Loads text with an environment and files that exist only here. */
export function load(
  text: string,
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): Config {
  return loadConfigText(text, {
    file: 'test.yaml',
    env,
    readFile(name) {
      const contents = files[name];
      if (contents !== undefined) return contents;
      throw Object.assign(new Error(`no such file ${name}`), { code: 'ENOENT' });
    },
  });
}

/** The problems of a text that must have some. */
export function problemsOf(
  text: string,
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): readonly ConfigProblem[] {
  try {
    load(text, env, files);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
  throw new Error(`expected problems in:\n${text}`);
}

export function formatted(text: string, env: Record<string, string> = {}): string[] {
  return problemsOf(text, env).map(formatProblem);
}

/** A sound sharded and a sound unsharded keyspace to put other things beside. */
export const KEYSPACES = `keyspaces:
  main:
    shards: [{ name: main, primary: 'postgres://app@db0/shop' }]
    tables: { settings: {} }
  shop:
    shards:
      - { name: s0, range: '-80', primary: 'postgres://app@db1/shop' }
      - { name: s1, range: '80-', primary: 'postgres://app@db2/shop' }
    tables: { orders: { shard_key: customer_id } }
`;

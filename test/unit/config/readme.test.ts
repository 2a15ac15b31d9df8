import { describe, expect, test } from 'vitest';
import { loadConfigText } from '../../../src/config/load.js';
import { configSpec } from '../../../src/config/schema.js';
import type { Config } from '../../../src/config/config.js';
import { sectionOf } from '../../support/readme.js';
import { CERTIFICATE, KEY } from './tls-pair.js';

const yaml = (section: string): string => /```yaml\n([^]*?)```/.exec(sectionOf(section))![1]!;
const example = yaml('Configuration');

function load(text: string, readFile?: (name: string) => string): Config {
  return loadConfigText(text, {
    file: 'shardgate.yaml',
    env: { APP_PASSWORD: 'a', OPERATOR_PASSWORD: 'b', SHARD_PASSWORD: 'c' },
    readFile:
      readFile ??
      (() => {
        throw new Error('the example names no file');
      }),
  });
}

/** Every key that an object of the schema may have, at any depth; keys that users choose are none. */
function keysOf(schema: unknown, into = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return into;
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties') {
      for (const name of Object.keys(value as object)) into.add(name);
    }
    keysOf(value, into);
  }
  return into;
}

describe('the configuration example of the README', () => {
  test('is a sound configuration', () => {
    expect(load(example).topology.shards.map(({ name }) => name)).toEqual([
      'main',
      's0',
      's1',
      's2',
      's3',
    ]);
  });

  test('shows the default of every setting', () => {
    const shown = load(example);
    const bare = load(
      `keyspaces: ${JSON.stringify({ m: { shards: [{ name: 'm', primary: 'postgres://a@b/c' }] } })}`,
    );
    for (const part of [
      'pool',
      'limits',
      'transactions',
      'log',
      'workers',
      'drainTimeoutMs',
    ] as const) {
      expect(shown[part], part).toEqual(bare[part]);
    }
    expect(shown.listen).toEqual(bare.listen);
  });

  test('is joined by one of logins, which is sound as well', () => {
    const keyspaces = example.slice(example.indexOf('\nkeyspaces:'));
    const files: Record<string, string> = { 'tls/server.key': KEY, '/run/secrets/app': 'x' };
    const { auth } = load(
      `database: shop\n${yaml('Logins and TLS')}${keyspaces}`,
      (name) => files[name] ?? CERTIFICATE,
    );
    expect(auth.rules.map(({ method }) => method)).toEqual([
      ...['trust', 'reject', 'scram-sha-256', 'cert', 'scram-sha-256'],
    ]);
  });

  test('and the text around it name every key that there is', () => {
    const text = sectionOf('Configuration') + sectionOf('Logins and TLS');
    const missing = [...keysOf(configSpec.jsonSchema)].filter(
      (key) => !new RegExp(`\\b${key}\\b`).test(text),
    );
    expect(missing).toEqual([]);
  });
});

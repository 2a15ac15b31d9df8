import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { loadConfig } from '../../../src/config/load.js';
import type { ConfigError } from '../../../src/config/problems.js';
import { watchConfig, type ConfigWatch } from '../../../src/config/watch.js';
import { KEYSPACES } from './fixtures.js';

let folder: string;
let file: string;
let watch: ConfigWatch;
let seen: (Config | ConfigError)[];
const sound = (size: number): string => `pool: { size: ${size} }\n${KEYSPACES}`;
const arrived = (count: number): Promise<void> =>
  vi.waitFor(() => expect(seen).toHaveLength(count), { timeout: 4000, interval: 10 });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shardgate-watch-'));
  file = join(folder, 'shardgate.yaml');
  writeFileSync(file, sound(1));
  seen = [];
  watch = watchConfig(
    file,
    { onConfig: (config) => seen.push(config), onProblems: (error) => seen.push(error) },
    { version: 7, files: (await loadConfig(file)).source.files, pollMs: 20, settleMs: 20 },
  );
  // The first status is taken asynchronously; a change before it would be no change.
  await new Promise((resolve) => setTimeout(resolve, 60));
});
afterEach(() => {
  watch.close();
  rmSync(folder, { recursive: true });
});

describe('watching the configuration file', () => {
  test('hands over a change with the next version', async () => {
    writeFileSync(file, sound(2));
    await arrived(1);
    expect(seen[0]).toMatchObject({ pool: { size: 2 }, topology: { version: 8 } });
  });

  test('follows an editor that replaces the file, again and again', async () => {
    for (const size of [2, 3]) {
      const next = join(folder, 'next');
      writeFileSync(next, sound(size));
      renameSync(next, file);
      await arrived(size - 1);
      expect(seen.at(-1)).toMatchObject({ pool: { size } });
    }
  });

  test('waits until a file that is written in steps has come to rest', async () => {
    const text = sound(5);
    for (let end = 1; end < text.length; end += 60) {
      writeFileSync(file, text.slice(0, end));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    writeFileSync(file, text);
    await arrived(1);
    expect(seen[0]).toMatchObject({ pool: { size: 5 } });
  });

  test('reports problems once, and the cure when it comes', async () => {
    writeFileSync(file, 'prot: 1\n');
    await arrived(1);
    expect((seen[0] as ConfigError).problems.length).toBeGreaterThan(1);
    writeFileSync(file, sound(4));
    await arrived(2);
    expect(seen[1]).toMatchObject({ pool: { size: 4 }, topology: { version: 8 } });
  });

  test('reports a file that went away', async () => {
    unlinkSync(file);
    await arrived(1);
    expect((seen[0] as ConfigError).message).toContain('cannot be read (ENOENT)');
  });

  test('passes over a file that was only touched, unless asked to reload', async () => {
    writeFileSync(file, sound(1));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(seen).toHaveLength(0);
    await watch.reload();
    expect(seen).toHaveLength(1);
    await watch.reload();
    expect(seen.map((config) => (config as Config).topology.version)).toEqual([8, 9]);
  });

  test('changes settings until the file is read again', async () => {
    expect(await watch.set('pool.size', '7')).toBeNull();
    expect(await watch.set('limits.gather_memory', '3MB')).toBeNull();
    expect(seen.at(-1)).toMatchObject({
      pool: { size: 7 },
      limits: { gatherMemoryBytes: 3 * 1024 * 1024 },
      topology: { version: 9 },
      source: { values: { pool: { size: 7 }, limits: { gather_memory: '3MB' } } },
    });
    for (const value of ['many', '0', '{', 'a: b', '[1']) {
      expect((await watch.set('pool.size', value))?.problems.length).toBeGreaterThan(0);
    }
    expect(seen).toHaveLength(2);
    await watch.reload();
    expect(seen.at(-1)).toMatchObject({ pool: { size: 1 } });
    await watch.set('pool.size', '8');
    writeFileSync(file, sound(2));
    await arrived(5);
    expect(seen.at(-1)).toMatchObject({ pool: { size: 2 } });
  });

  test('hands over what has changed since it was read', async () => {
    watch.close();
    const { files } = (await loadConfig(file)).source;
    writeFileSync(file, sound(6));
    const handlers = {
      onConfig: (config: Config) => seen.push(config),
      onProblems: (error: ConfigError) => seen.push(error),
    };
    watch = watchConfig(file, handlers, { version: 7, files, pollMs: 20, settleMs: 20 });
    await arrived(1);
    expect(seen[0]).toMatchObject({ pool: { size: 6 } });
  });

  test('follows the files that it names: a secret that changes, one that is missing at first', async () => {
    const user = (password: string): string =>
      `auth: { method: md5, users: [{ name: a, password: 'file:${password}' }] }\n${KEYSPACES}`;
    const password = (): unknown => (seen.at(-1) as Config).auth.users.get('a')!.password;
    writeFileSync(join(folder, 'one'), 'x');
    writeFileSync(file, user('one'));
    await arrived(1);
    expect(password()).toBe('x');
    writeFileSync(join(folder, 'one'), 'y');
    await arrived(2);
    expect(password()).toBe('y');
    writeFileSync(file, user('two'));
    await arrived(3);
    expect((seen[2] as ConfigError).message).toContain('the password cannot be read (ENOENT)');
    writeFileSync(join(folder, 'two'), 'z');
    await arrived(4);
    expect(password()).toBe('z');
    // Nobody names it any more.
    writeFileSync(join(folder, 'one'), 'v');
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(seen).toHaveLength(4);
  });

  test('is silent after close', async () => {
    watch.close();
    writeFileSync(file, sound(9));
    await watch.reload();
    expect(seen).toHaveLength(0);
  });
});

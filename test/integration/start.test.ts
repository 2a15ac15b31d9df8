import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nextFreePort } from '../../scripts/lib/ports.mjs';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';

/** `npm start` as a new user meets it, in a folder of its own. */

const home = mkdtempSync(join(tmpdir(), 'shardgate-start-'));
const configFile = join(home, 'shardgate.yaml');

beforeAll(() => {
  removeAtEnd(home);
  // As a project folder usually is: whoever the servers run as may enter it.
  chmodSync(home, 0o755);
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

async function start(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['scripts/start.mjs', ...args], {
    cwd: projectRoot,
    env: { ...process.env, SHARDGATE_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

describe('npm start', () => {
  test('creates the cluster, loads the sample data through the proxy and answers', async () => {
    const { code, output } = await start('--check');
    expect(output).toContain('Loading the sample tables through the proxy');
    expect(output).toContain('/readyz: ok');
    expect(output.trimEnd().endsWith('Stopped.')).toBe(true);
    expect(code).toBe(0);
  });

  test('keeps data and edits, and moves where a port is taken', async () => {
    const edited = readFileSync(configFile, 'utf8') + '# my note\n';
    writeFileSync(configFile, edited);
    const port = Number(/listen: .*port: (\d+)/.exec(edited)![1]);
    const other = createServer().listen(await nextFreePort(port), '127.0.0.1');
    await once(other, 'listening');
    const { code, output } = await start('--check');
    other.close();
    expect(output).not.toContain('Loading the sample tables');
    expect(output).toContain(`Port ${port} is taken: the proxy listens on`);
    expect(code).toBe(0);
    const kept = readFileSync(configFile, 'utf8');
    expect(kept.replaceAll(/\d{4,5}/g, '')).toBe(edited.replaceAll(/\d{4,5}/g, ''));
    expect(kept).not.toContain(`listen: { host: 127.0.0.1, port: ${port} }`);
  });

  test('shows what the proxy says of a broken configuration, and stops the servers', async () => {
    writeFileSync(
      configFile,
      readFileSync(configFile, 'utf8').replace('drain_timeout', 'drain_tim'),
    );
    const { code, output } = await start('--check');
    expect(output).toContain('Failed: the proxy ended with exit code 78');
    expect(output).toContain('drain_tim');
    expect(code).toBe(1);
  });

  test('refuses arguments that it does not know', async () => {
    const { code, output } = await start('--chekc');
    expect(output).toContain('unknown argument --chekc');
    expect(code).toBe(1);
  });
});

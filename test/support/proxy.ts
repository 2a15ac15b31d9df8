import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyFreePort } from '../../scripts/lib/ports.mjs';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { forget, removeAtEnd, watch } from '../../scripts/lib/watchdog-client.mjs';
import type { ProxyConfig } from './proxy-config.js';

export interface ProxyOptions {
  /** The proxy's listen and http ports are put in, on loopback, where the configuration has none. */
  readonly config: ProxyConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** False: return as soon as the process runs, for tests of a proxy that cannot become ready. */
  readonly waitUntilReady?: boolean;
}

/** One proxy process, as a user would run it. */
export interface Proxy {
  /** As user `postgres`, to the configured database. */
  readonly url: string;
  readonly port: number;
  readonly httpPort: number;
  readonly pid: number;
  /** The file it was started with; rewrite it to try a reload. */
  readonly configFile: string;
  /** Standard output and standard error so far. */
  logs(): string;
  /** Waits until /readyz says yes. */
  ready(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; resolves with the exit code once the process is gone. Kills it where that takes too long. */
  stop(): Promise<number | null>;
  /** SIGKILL: a crash. */
  kill(): Promise<void>;
}

const READY_MS = 20_000;
/** Above the drain timeout that tests configure. */
const STOP_MS = 15_000;
const PORT_ATTEMPTS = 3;

/** Starts `node dist/main.js --config FILE` on free ports. The global setup has built dist/. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  for (let attempt = 1; ; attempt++) {
    const proxy = await launch(options);
    if (options.waitUntilReady === false) return proxy;
    try {
      await proxy.ready();
      return proxy;
    } catch (error) {
      await proxy.kill();
      // Another process may have taken the port between our picking and the proxy's binding it.
      if (attempt === PORT_ATTEMPTS || !proxy.logs().includes('EADDRINUSE')) throw error;
    }
  }
}

async function launch({ config, env }: ProxyOptions): Promise<Proxy> {
  const { port, httpPort, text } = await withPorts(config);
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-proxy-'));
  removeAtEnd(folder);
  const configFile = join(folder, 'shardgate.yaml');
  writeFileSync(configFile, text, { mode: 0o600 });
  const child = spawn(process.execPath, ['dist/main.js', '--config', configFile], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid === undefined) throw new Error('the proxy could not be run');
  const { pid } = child;
  watch(pid);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      forget(pid);
      rmSync(folder, { recursive: true, force: true });
      resolve(code);
    });
  });
  const logs = (): string => output;
  return {
    url: `postgres://postgres@127.0.0.1:${port}/${config.database}`,
    port,
    httpPort,
    pid,
    configFile,
    logs,
    ready: () => untilReady(child, httpPort, logs),
    signal: (name) => {
      child.kill(name);
    },
    stop: async () => {
      child.kill('SIGTERM');
      const harder = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      const code = await ended;
      clearTimeout(harder);
      return code;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function withPorts(
  config: ProxyConfig,
): Promise<{ port: number; httpPort: number; text: string }> {
  const port = await anyFreePort();
  let httpPort = await anyFreePort();
  // Nobody listens on the first one yet, so it may be given out again.
  while (httpPort === port) httpPort = await anyFreePort();
  const listen = { host: '127.0.0.1', port, ...(config['listen'] ?? {}) };
  const http = { host: '127.0.0.1', port: httpPort, ...(config['http'] ?? {}) };
  const text = JSON.stringify({ ...config, listen, http }, null, 2);
  return { port: listen.port, httpPort: http.port, text };
}

async function untilReady(
  child: ChildProcess,
  httpPort: number,
  logs: () => string,
): Promise<void> {
  const deadline = Date.now() + READY_MS;
  let last = 'no answer';
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the proxy ended (${child.exitCode ?? child.signalCode}):\n${logs()}`);
    }
    try {
      const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
      last = await response.text();
      if (response.status === 200) return;
    } catch {
      // Not listening yet.
    }
    await sleep(50);
  }
  throw new Error(`the proxy is not ready after ${READY_MS} ms: ${last}\n${logs()}`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { copyDataFolder, makeDataFolder, runningServer } from '../../scripts/lib/data-folder.mjs';
import { PostgresServer } from '../../scripts/lib/postgres-server.mjs';
import { serverUser } from '../../scripts/lib/unprivileged-user.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';

const run = promisify(execFile);

/** A server that a test may kill; it comes back with its data, on the same port. */
export class MortalServer {
  readonly name: string;
  readonly port: number;
  readonly #options: Parameters<typeof PostgresServer.start>[0];
  #server: PostgresServer;

  private constructor(options: Parameters<typeof PostgresServer.start>[0], server: PostgresServer) {
    this.name = options.name;
    this.port = server.port;
    this.#options = { ...options, preferredPort: server.port };
    this.#server = server;
  }

  static async start(options: Parameters<typeof PostgresServer.start>[0]): Promise<MortalServer> {
    return new MortalServer(options, await PostgresServer.start(options));
  }

  url(database: string): string {
    return this.#server.url(database);
  }

  /** Every process of the server at once, as when its machine loses power. */
  async kill(): Promise<void> {
    const pids = await this.#processes();
    // A stopped postmaster cannot react to the end of its children.
    signal(pids.slice(0, 1), 'SIGSTOP');
    signal(pids.slice(1), 'SIGKILL');
    signal(pids.slice(0, 1), 'SIGKILL');
    await this.#server.exited;
  }

  /** Orderly for the data, at once for the clients: 57P01. */
  shutDown(): Promise<void> {
    return this.#server.stop();
  }

  /** Replays what was not flushed, then takes connections again. */
  async restart(): Promise<void> {
    // Another process may have the port for a moment.
    for (let attempt = 1; ; attempt++) {
      this.#server = await PostgresServer.start(this.#options);
      if (this.#server.port === this.port) return;
      if (attempt === 20) throw new Error(`port ${this.port} was taken meanwhile`);
      await this.#server.stop();
    }
  }

  /** Answers nothing and closes nothing, as when its network is cut, until `thaw`. */
  async freeze(): Promise<{ readonly thaw: () => void }> {
    const pids = await this.#processes();
    signal(pids, 'SIGSTOP');
    return {
      thaw: () => {
        signal(pids, 'SIGCONT');
      },
    };
  }

  stop(): Promise<void> {
    return this.#server.stopNow();
  }

  /** The postmaster and its children; they lead process groups of their own. */
  async #processes(): Promise<number[]> {
    const postmaster = await runningServer(this.#options.dataFolder);
    if (postmaster === null) return [];
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
    const children: number[] = [];
    for (const line of stdout.split('\n')) {
      const [pid, parent] = line.trim().split(/\s+/).map(Number);
      if (parent === postmaster) children.push(pid!);
    }
    return [postmaster, ...children];
  }
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

export interface MortalServers {
  readonly servers: readonly MortalServer[];
  /** Stops and deletes them. */
  stop(): Promise<void>;
}

/** Starts servers for killing: what they have acknowledged survives the end of their processes. */
export async function startMortalServers(names: readonly string[]): Promise<MortalServers> {
  const user = serverUser();
  const folder = mkdtempSync(join(tmpdir(), 'shardgate-chaos-'));
  removeAtEnd(folder);
  if (user !== null) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  const common = { bin: inject('pgBin'), user, password: null };
  const template = join(folder, 'template');
  // Commits wait until the system has the WAL: that survives a kill, though not the loss of the machine.
  const settings = { synchronous_commit: 'on', timezone: 'UTC' };
  await makeDataFolder({ ...common, folder: template, durable: false, settings });
  const servers = await Promise.all(
    names.map(async (name) => {
      const dataFolder = join(folder, name);
      await copyDataFolder(template, dataFolder, user);
      return MortalServer.start({
        ...common,
        name,
        dataFolder,
        logFile: join(folder, `${name}.log`),
      });
    }),
  );
  return {
    servers,
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

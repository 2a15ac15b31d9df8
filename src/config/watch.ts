import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Config } from './config.js';
import { loadConfig } from './load.js';
import { ConfigError } from './problems.js';

/**
 * How often the file's status is asked for. Polling one stat sees what notifications miss: editors
 * that replace the file, symbolic links that are swapped (Kubernetes), network file systems.
 */
const POLL_MS = 500;
/** A file is taken when two readings this far apart agree, since editors write in several steps. */
const SETTLE_MS = 100;
/** 5 s of a file that never rests; then it is read as it is. */
const SETTLE_ATTEMPTS = 50;

export interface WatchHandlers {
  /** A sound file, after it changed or after `reload`. */
  readonly onConfig: (config: Config) => void;
  /** A file with problems; what ran before goes on. */
  readonly onProblems: (error: ConfigError) => void;
}

export interface ConfigWatch {
  /**
   * Reads the file now, whether it changed or not (SIGHUP, RELOAD); resolves once a handler has
   * run.
   */
  reload(): Promise<void>;
  /** No handler is called afterwards. */
  close(): void;
}

export interface WatchOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `Topology.version` of the configuration in use; each one read afterwards has the next. */
  readonly version: number;
  readonly pollMs?: number;
  readonly settleMs?: number;
}

/**
 * Watches a configuration file by its contents; touching it changes nothing. A change is handed
 * over once, after the file has come to rest. Handlers must not throw.
 */
export function watchConfig(
  file: string,
  handlers: WatchHandlers,
  options: WatchOptions,
): ConfigWatch {
  const settleMs = options.settleMs ?? SETTLE_MS;
  let version = options.version;
  let closed = false;
  /** Null: it could not be read. */
  let lastText: string | null | undefined;
  /** Readings follow each other, so that handlers see versions in order. */
  let queue: Promise<void> = Promise.resolve();

  // What the running configuration was made from; taken now, so that only later changes count.
  queue = readText(file).then((text) => {
    lastText = text;
  });

  async function read(evenIfUnchanged: boolean): Promise<void> {
    const text = await settledText(file, settleMs, () => closed);
    if (closed || (text === lastText && !evenIfUnchanged)) return;
    lastText = text;
    let config: Config;
    try {
      config = await loadConfig(file, {
        version: version + 1,
        ...(options.env && { env: options.env }),
      });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (!closed) handlers.onProblems(error);
      return;
    }
    if (closed) return;
    version++;
    handlers.onConfig(config);
  }

  function enqueue(evenIfUnchanged: boolean): Promise<void> {
    const reading = queue.then(() => read(evenIfUnchanged));
    queue = reading.catch(() => undefined);
    return reading;
  }

  const onStat = (): void => void enqueue(false);
  watchFile(file, { interval: options.pollMs ?? POLL_MS, persistent: false }, onStat);
  return {
    reload: () => enqueue(true),
    close() {
      closed = true;
      unwatchFile(file, onStat);
    },
  };
}

async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return null;
  }
}

async function settledText(
  file: string,
  settleMs: number,
  stopped: () => boolean,
): Promise<string | null> {
  let text = await readText(file);
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS && !stopped(); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const again = await readText(file);
    if (again === text) break;
    text = again;
  }
  return text;
}

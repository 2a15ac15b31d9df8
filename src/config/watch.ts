import { unwatchFile, watchFile } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from './config.js';
import { loadConfig } from './load.js';
import type { Overrides } from './overrides.js';
import { ConfigError } from './problems.js';
import { readDigests, sameDigests, type FileDigests } from './source.js';

/**
 * How often the file's status is asked for. Polling one stat sees what notifications miss: editors
 * that replace the file, symbolic links that are swapped (Kubernetes), network file systems.
 */
const POLL_MS = 500;
/** The same of what the file names: certificates and secrets, which may be many and seldom change. */
const NAMED_POLL_MS = 5000;
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
   * run, to what is wrong with the file.
   */
  reload(): Promise<ConfigError | null>;
  /**
   * Changes a setting by its place in the file (`limits.max_clients`), until the file is read for another reason;
   * `value` as the file would have it. Resolves to what is wrong with that: then nothing changes, and no handler runs.
   */
  set(key: string, value: string): Promise<ConfigError | null>;
  /** No handler is called afterwards. */
  close(): void;
}

export interface WatchOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `Topology.version` of the configuration in use; each one read afterwards has the next. */
  readonly version: number;
  /** What the configuration in use was made from. */
  readonly files: FileDigests;
  readonly pollMs?: number;
  readonly settleMs?: number;
}

/**
 * Watches a configuration file and the files that it names by their contents; touching them changes nothing. A change
 * is handed over once, after the files have come to rest. Handlers must not throw.
 */
export function watchConfig(
  file: string,
  handlers: WatchHandlers,
  options: WatchOptions,
): ConfigWatch {
  const settleMs = options.settleMs ?? SETTLE_MS;
  let { version, files } = options;
  let overrides: Overrides = new Map();
  let closed = false;
  /** Readings follow each other, so that handlers see versions in order. */
  let queue: Promise<void> = Promise.resolve();

  async function read(
    evenIfUnchanged: boolean,
    changed: readonly [key: string, value: string] | null,
  ): Promise<ConfigError | null> {
    const settled = await settledDigests(files.keys(), settleMs, () => closed);
    if (closed || (sameDigests(settled, files) && !evenIfUnchanged)) return null;
    const wanted: Overrides = changed === null ? new Map() : new Map([...overrides, changed]);
    let config: Config;
    try {
      config = await loadConfig(file, {
        version: version + 1,
        overrides: wanted,
        ...(options.env && { env: options.env }),
      });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (closed) return null;
      if (changed !== null) return error;
      follow(error.files);
      handlers.onProblems(error);
      return error;
    }
    if (closed) return null;
    overrides = wanted;
    version++;
    follow(config.source.files);
    handlers.onConfig(config);
    return null;
  }

  function enqueue(
    evenIfUnchanged: boolean,
    changed: readonly [key: string, value: string] | null = null,
  ): Promise<ConfigError | null> {
    const reading = queue.then(() => read(evenIfUnchanged, changed));
    queue = reading.then(
      () => undefined,
      () => undefined,
    );
    return reading;
  }

  const onStat = (): void => void enqueue(false);

  /** Watches these files in place of those before. */
  function follow(next: FileDigests): void {
    for (const path of files.keys()) if (!next.has(path)) unwatchFile(path, onStat);
    const added = [...next.keys()].filter((path) => !files.has(path));
    for (const path of added) watchOne(path);
    files = next;
    // They may have changed between their reading and the first look at their status.
    if (added.length > 0) onStat();
  }

  function watchOne(path: string): void {
    const interval = options.pollMs ?? (path === resolve(file) ? POLL_MS : NAMED_POLL_MS);
    watchFile(path, { interval, persistent: false }, onStat);
  }

  for (const path of files.keys()) watchOne(path);
  // What has changed since the configuration was read, while the start waited for shards.
  onStat();
  return {
    reload: () => enqueue(true),
    set: (key, value) => enqueue(true, [key, value]),
    close() {
      closed = true;
      for (const path of files.keys()) unwatchFile(path, onStat);
    },
  };
}

async function settledDigests(
  paths: Iterable<string>,
  settleMs: number,
  stopped: () => boolean,
): Promise<FileDigests> {
  const files = [...paths];
  let digests = await readDigests(files);
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS && !stopped(); attempt++) {
    await new Promise((done) => setTimeout(done, settleMs));
    const again = await readDigests(files);
    if (sameDigests(again, digests)) break;
    digests = again;
  }
  return digests;
}

// @ts-check
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryQuery } from './answers.mjs';
import { runningServer } from './data-folder.mjs';
import { anyFreePort, nextFreePort } from './ports.mjs';
import { StepError } from './project.mjs';
import { spawnIdentity } from './unprivileged-user.mjs';
import { forget, watch } from './watchdog-client.mjs';

/** @typedef {import('./unprivileged-user.mjs').SystemUser} SystemUser */

/**
 * @typedef {object} ServerOptions
 * @property {string} name for messages
 * @property {string} bin folder of postgres
 * @property {string} dataFolder
 * @property {SystemUser | null} user
 * @property {string | null} password of the superuser `postgres`
 * @property {string} logFile
 * @property {number} [preferredPort] taken where it is free; the next free one otherwise
 * @property {AbortSignal} [signal] gives the start up
 */

/** A crash leaves WAL to replay, which takes longer than any ordinary start. */
const START_MS = 60_000;
const POLL_MS = 40;
/** Between picking a free port and binding it, somebody else may. */
const PORT_ATTEMPTS = 5;
const FAST_SHUTDOWN_MS = 8_000;
const IMMEDIATE_SHUTDOWN_MS = 3_000;

/** One running PostgreSQL server, a child of this process. */
export class PostgresServer {
  /**
   * @param {ServerOptions} options
   * @param {number} port
   * @param {import('node:child_process').ChildProcess} child
   */
  constructor(options, port, child) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.port = port;
    /** @private */
    this.child = child;
    /** @private */
    this.password = options.password;
    /** Settled with a reason once the process is gone. @type {Promise<string>} */
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (child.pid !== undefined) forget(child.pid);
        resolve(signal === null ? `exit code ${code}` : `signal ${signal}`);
      });
    });
  }

  /**
   * Starts a server and waits until it answers a query. One that an earlier run left behind on this
   * data folder is stopped first.
   * @param {ServerOptions} options
   * @returns {Promise<PostgresServer>}
   */
  static async start(options) {
    await stopLeftover(options.dataFolder);
    for (let attempt = 1; ; attempt++) {
      const port = await choosePort(options, attempt);
      const logOffset = existsSync(options.logFile) ? statSync(options.logFile).size : 0;
      const server = new PostgresServer(options, port, launch(options, port));
      const problem = await server.untilReady(options.signal);
      if (problem === null) return server;
      await server.stop();
      const log = readFileSync(options.logFile, 'utf8').slice(logOffset);
      const portTaken = /could not bind|Address already in use/.test(log);
      if (!portTaken || attempt === PORT_ATTEMPTS) {
        throw new StepError(`server ${options.name} did not start: ${problem}`, [
          `End of ${options.logFile}:`,
          ...lastLines(log),
        ]);
      }
    }
  }

  /**
   * @param {string} [database]
   * @returns {string} connection URL of the superuser
   */
  url(database = 'postgres') {
    const secret = this.password === null ? '' : `:${encodeURIComponent(this.password)}`;
    return `postgres://postgres${secret}@127.0.0.1:${this.port}/${encodeURIComponent(database)}`;
  }

  /** Fast shutdown (clients are cut off, data is flushed); harsher where that takes too long. */
  async stop() {
    if (await this.endedWithin(0)) return;
    this.child.kill('SIGINT');
    if (await this.endedWithin(FAST_SHUTDOWN_MS)) return;
    this.child.kill('SIGQUIT');
    if (await this.endedWithin(IMMEDIATE_SHUTDOWN_MS)) return;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Stops at once, without a checkpoint; the next start replays the WAL. */
  async stopNow() {
    this.child.kill('SIGQUIT');
    if (!(await this.endedWithin(IMMEDIATE_SHUTDOWN_MS))) this.child.kill('SIGKILL');
    await this.exited;
  }

  /**
   * @private
   * @param {number} ms
   */
  endedWithin(ms) {
    const { exitCode, signalCode, pid } = this.child;
    if (exitCode !== null || signalCode !== null || pid === undefined) return true;
    const timeout = new AbortController();
    return Promise.race([
      this.exited.then(() => true),
      sleep(ms, false, { signal: timeout.signal }),
    ]).finally(() => {
      timeout.abort();
    });
  }

  /**
   * @private
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<string | null>} why it will not become ready; null: it is
   */
  async untilReady(signal) {
    const deadline = Date.now() + START_MS;
    while (Date.now() < deadline) {
      if (signal?.aborted === true) return 'interrupted';
      if (this.child.pid === undefined) return 'the program could not be run';
      if ((await tryQuery(this.url())) === null) return null;
      if (await this.endedWithin(POLL_MS)) return await this.exited;
    }
    return `no answer within ${START_MS / 1000} s`;
  }
}

/**
 * @param {ServerOptions} options
 * @param {number} attempt from 1
 */
function choosePort(options, attempt) {
  if (options.preferredPort === undefined) return anyFreePort();
  return nextFreePort(options.preferredPort + attempt - 1);
}

/**
 * @param {ServerOptions} options
 * @param {number} port
 */
function launch(options, port) {
  const log = openSync(options.logFile, 'a', 0o644);
  const args = ['-D', options.dataFolder, '-p', String(port)];
  // TCP only: a socket's path may be too long (107 bytes), and its folder not ours to write.
  args.push('-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=');
  const child = spawn(join(options.bin, 'postgres'), args, {
    cwd: options.dataFolder,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', log, log],
    // A terminal's Ctrl-C goes to the whole foreground group; servers are stopped in our order.
    detached: true,
    ...spawnIdentity(options.user),
  });
  closeSync(log);
  child.on('error', () => {});
  if (child.pid !== undefined) watch(child.pid, options.dataFolder);
  return child;
}

/**
 * Stops the server that an earlier run left behind on a data folder, if there is one.
 * @param {string} dataFolder
 */
export async function stopLeftover(dataFolder) {
  const signals = /** @type {const} */ (['SIGINT', 'SIGQUIT', 'SIGKILL']);
  for (const signal of signals) {
    const pid = await runningServer(dataFolder);
    if (pid === null) return;
    process.kill(pid, signal);
    const deadline = Date.now() + FAST_SHUTDOWN_MS;
    while (Date.now() < deadline && (await runningServer(dataFolder)) !== null) await sleep(100);
  }
}

/** @param {string} log */
function lastLines(log) {
  return log.trim().split('\n').slice(-15);
}

// @ts-check
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { projectRoot, StepError } from '../project.mjs';
import { forget, watch } from '../watchdog-client.mjs';
import { configFile, logFolder } from './state.mjs';

export const proxyLog = join(logFolder, 'shardgate.log');

const READY_MS = 30_000;
const POLL_MS = 100;
/** Above drain_timeout of the file we write; somebody may have set it higher. */
const DRAIN_MS = 5_000;
const HURRY_MS = 2_000;

/** The running proxy, a child of this process. */
export class ProxyProcess {
  /** @param {string} url that clients connect to */
  constructor(url) {
    /** @private */
    this.url = url;
    /** @private */
    this.logOffset = statSync(proxyLog, { throwIfNoEntry: false })?.size ?? 0;
    const log = openSync(proxyLog, 'a', 0o644);
    /** @private */
    this.child = spawn(process.execPath, ['dist/main.js', '--config', configFile], {
      cwd: projectRoot,
      stdio: ['ignore', log, log],
      // Ctrl-C goes to the whole foreground group; the proxy is stopped first, then the servers.
      detached: true,
    });
    closeSync(log);
    const { pid } = this.child;
    if (pid !== undefined) watch(pid);
    /** Settled once the process is gone. @type {Promise<string>} */
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => {
        resolve(error.message);
      });
      this.child.once('exit', (code, signal) => {
        if (pid !== undefined) forget(pid);
        resolve(signal === null ? `exit code ${code}` : `signal ${signal}`);
      });
    });
    /** @private */
    this.isGone = false;
    void this.exited.then(() => {
      this.isGone = true;
    });
  }

  /** Waits until a client can log in and gets an answer. */
  async untilReady() {
    const deadline = Date.now() + READY_MS;
    let last = 'no answer';
    while (Date.now() < deadline) {
      if (this.isGone) throw this.failure(`the proxy ended with ${await this.exited}`);
      const problem = await tryQuery(this.url);
      if (problem === null) return;
      last = problem;
      await sleep(POLL_MS);
    }
    throw this.failure(`the proxy does not answer after ${READY_MS / 1000} s: ${last}`);
  }

  /**
   * @param {string} message
   * @returns {StepError} with the end of the log of this run
   */
  failure(message) {
    const log = readFileSync(proxyLog).subarray(this.logOffset).toString();
    return new StepError(message, [`End of ${proxyLog}:`, ...log.trim().split('\n').slice(-15)]);
  }

  /** Lets running transactions end, for a bounded time. */
  async stop() {
    if (this.isGone) return;
    this.child.kill('SIGTERM');
    if (await this.goneWithin(DRAIN_MS)) return;
    // The second signal means: at once.
    this.child.kill('SIGTERM');
    if (await this.goneWithin(HURRY_MS)) return;
    await this.stopNow();
  }

  async stopNow() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /**
   * @private
   * @param {number} ms
   */
  goneWithin(ms) {
    const timeout = new AbortController();
    return Promise.race([
      this.exited.then(() => true),
      sleep(ms, false, { signal: timeout.signal }),
    ]).finally(() => {
      timeout.abort();
    });
  }
}

/**
 * @param {string} url
 * @returns {Promise<string | null>} why there was no answer; null: there was
 */
async function tryQuery(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}

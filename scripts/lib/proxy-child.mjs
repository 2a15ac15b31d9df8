// @ts-check
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryQuery } from './answers.mjs';
import { StepError } from './project.mjs';
import { spawnIdentity } from './unprivileged-user.mjs';
import { forget, watch } from './watchdog-client.mjs';

/** @typedef {import('./unprivileged-user.mjs').SystemUser} SystemUser */

/**
 * @typedef {object} ProxyChildOptions
 * @property {string} name for messages
 * @property {string} program
 * @property {readonly string[]} args
 * @property {string} cwd
 * @property {string} logFile what it says is added there
 * @property {string} url that clients connect to
 * @property {SystemUser | null} [user] absent or null: the one we are
 */

const READY_MS = 30_000;
const POLL_MS = 50;
/** Above the drain_timeout that is configured for it; somebody may have set it higher. */
const DRAIN_MS = 5_000;
const HURRY_MS = 2_000;

/** A running proxy, a child of this process that does not outlive it. */
export class ProxyChild {
  /** @param {ProxyChildOptions} options */
  constructor(options) {
    const { program, args, cwd, logFile, user = null } = options;
    /** @private */
    this.options = options;
    /** @private */
    this.logOffset = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
    const log = openSync(logFile, 'a', 0o644);
    /** @private */
    this.child = spawn(program, args, {
      cwd,
      stdio: ['ignore', log, log],
      // A Ctrl-C goes to the whole foreground group; things are stopped in our order.
      detached: true,
      ...spawnIdentity(user),
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

  /** 0 where the program could not be run. */
  get pid() {
    return this.child.pid ?? 0;
  }

  /** Waits until a client can log in and gets an answer. */
  async untilReady() {
    const { name, url } = this.options;
    const deadline = Date.now() + READY_MS;
    let last = 'no answer';
    while (Date.now() < deadline) {
      if (this.isGone) throw this.failure(`${name} ended with ${await this.exited}`);
      const problem = await tryQuery(url);
      if (problem === null) return;
      last = problem;
      await sleep(POLL_MS);
    }
    throw this.failure(`${name} does not answer after ${READY_MS / 1000} s: ${last}`);
  }

  /**
   * @param {string} message
   * @returns {StepError} with the end of the log of this run
   */
  failure(message) {
    const { logFile } = this.options;
    const log = readFileSync(logFile).subarray(this.logOffset).toString();
    return new StepError(message, [`End of ${logFile}:`, ...log.trim().split('\n').slice(-15)]);
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

// @ts-check
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { StepError } from '../../scripts/lib/project.mjs';
import { spawnIdentity } from '../../scripts/lib/unprivileged-user.mjs';
import { forget, watch } from '../../scripts/lib/watchdog-client.mjs';

/** @typedef {import('../../scripts/lib/unprivileged-user.mjs').SystemUser} SystemUser */

const READY_MS = 30_000;
const STOP_MS = 10_000;
const POLL_MS = 50;
const LOG_BYTES_MAX = 64 * 1024;

/** A proxy that runs while something is measured. */
export class Child {
  /**
   * @param {string} name for messages
   * @param {string} program
   * @param {readonly string[]} args
   * @param {SystemUser | null} user null: the one we are
   * @param {string} cwd
   */
  constructor(name, program, args, user, cwd) {
    this.name = name;
    /** @private */
    this.log = '';
    /** @private */
    this.child = spawn(program, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A Ctrl-C goes to the whole foreground group; we stop things in our order.
      detached: true,
      ...spawnIdentity(user),
    });
    const keep = (/** @type {Buffer} */ chunk) => {
      this.log = (this.log + chunk.toString()).slice(-LOG_BYTES_MAX);
    };
    this.child.stdout.on('data', keep);
    this.child.stderr.on('data', keep);
    const { pid } = this.child;
    if (pid !== undefined) watch(pid);
    /** Settled once the process is gone. @type {Promise<void>} */
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => {
        this.log += error.message;
        resolve();
      });
      this.child.once('close', () => {
        if (pid !== undefined) forget(pid);
        resolve();
      });
    });
  }

  get pid() {
    return this.child.pid ?? 0;
  }

  /**
   * Waits until a query is answered.
   * @param {string} url
   */
  async untilReady(url) {
    const deadline = Date.now() + READY_MS;
    let last = 'no answer';
    while (Date.now() < deadline && this.isRunning()) {
      const problem = await tryQuery(url);
      if (problem === null) return;
      last = problem;
      await sleep(POLL_MS);
    }
    throw this.failure(`${this.name} does not answer: ${last}`);
  }

  /** @param {string} message */
  failure(message) {
    const lines = this.log.trim().split('\n').slice(-15);
    return new StepError(message, [`End of the log of ${this.name}:`, ...lines]);
  }

  async stop() {
    this.child.kill('SIGTERM');
    const timeout = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    await this.ended;
    clearTimeout(timeout);
  }

  /** @private */
  isRunning() {
    const { exitCode, signalCode, pid } = this.child;
    return pid !== undefined && exitCode === null && signalCode === null;
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

// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import { nextFreePort } from '../ports.mjs';
import { printFailure } from '../project.mjs';
import { newConfig, retarget, wantedPorts } from './config-file.mjs';
import { startServers } from './local-cluster.mjs';
import { ProxyProcess } from './proxy-process.mjs';
import { loadSampleData } from './sample-data.mjs';
import { checkCluster } from './self-check.mjs';
import { configFile, lock, readState, writePrivately, writeState } from './state.mjs';
import { printSummary } from './summary.mjs';

const DEFAULT_LISTEN_PORT = 6432;
const DEFAULT_HTTP_PORT = 9400;
/** As shells count: 128 + SIGINT. */
const INTERRUPTED = 130;

/** @typedef {import('../postgres-server.mjs').PostgresServer} PostgresServer */

/**
 * One `npm start`:
 *
 *   starting -> running -> stopping -> done
 *       \___________________/   Ctrl-C or a failed step, from anywhere
 *
 * A second Ctrl-C while stopping kills what is left.
 */
export class LocalSession {
  constructor() {
    /** @private @type {PostgresServer[]} */
    this.servers = [];
    /** @private @type {ProxyProcess | null} */
    this.proxy = null;
    /** @private */
    this.stopping = false;
    /** Settled when somebody asks us to stop. @private @type {Promise<void>} */
    this.interrupted = new Promise((resolve) => {
      const onSignal = () => {
        if (this.stopping) void this.killAll();
        else resolve();
        this.stopping = true;
      };
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
    });
  }

  /**
   * @param {{ check: boolean }} options
   * @returns {Promise<number>} exit code
   */
  async run({ check }) {
    const unlock = lock();
    let exitCode = 0;
    try {
      const work = this.work(check);
      // A step that fails because Ctrl-C took its ground away is no failure.
      const outcome = await Promise.race([work.then(() => 'done'), this.interrupted]);
      if (outcome !== 'done') work.catch(() => {});
      exitCode = outcome === 'done' || !check ? 0 : INTERRUPTED;
    } catch (error) {
      printFailure(error);
      exitCode = 1;
    }
    this.stopping = true;
    await this.stopAll();
    unlock();
    return exitCode;
  }

  /**
   * @private
   * @param {boolean} check
   */
  async work(check) {
    const state = readState();
    console.log('Starting five PostgreSQL servers...');
    const servers = await startServers(state, (server) => {
      this.servers.push(server);
      if (this.stopping) void server.stop();
    });
    const endpoints = await writeConfig(state, servers);
    if (this.stopping) return;
    console.log('Starting the proxy...');
    const url = `postgres://app@127.0.0.1:${endpoints.listenPort}/shop`;
    const proxy = new ProxyProcess(url);
    this.proxy = proxy;
    await proxy.untilReady();
    if (state.sample !== 'loaded') {
      console.log('Loading the sample tables through the proxy...');
      writeState({ ...state, sample: 'partial' });
      await loadSampleData(url);
      writeState({ ...state, sample: 'loaded' });
    }
    if (check) {
      await checkCluster(url, endpoints.httpPort);
      return;
    }
    printSummary(servers, endpoints);
    this.reportEndingServers();
    const reason = await proxy.exited;
    if (!this.stopping) throw proxy.failure(`the proxy ended with ${reason}`);
  }

  /**
   * A server may be ended on purpose, to see what becomes of the rest.
   * @private
   */
  reportEndingServers() {
    for (const server of this.servers) {
      void server.exited.then((reason) => {
        if (this.stopping) return;
        console.log(`Server ${server.name} ended (${reason}); its log is ${server.logFile}`);
        console.log('The proxy goes on with the others. Ctrl-C and npm start bring it back.');
      });
    }
  }

  /** @private */
  async stopAll() {
    console.log('\nStopping (Ctrl-C again to kill)...');
    await this.proxy?.stop();
    await Promise.all(this.servers.map((server) => server.stop()));
    console.log('Stopped.');
  }

  /** @private */
  async killAll() {
    console.log('Killing...');
    await this.proxy?.stopNow();
    await Promise.all(this.servers.map((server) => server.stopNow()));
    process.exit(INTERRUPTED);
  }
}

/**
 * Writes the configuration at the first start; later puts in only ports that had to change.
 * @param {import('./state.mjs').State} state
 * @param {readonly PostgresServer[]} servers
 * @returns {Promise<{ listenPort: number, httpPort: number | null }>}
 */
async function writeConfig(state, servers) {
  const text = existsSync(configFile) ? readFileSync(configFile, 'utf8') : null;
  const wanted =
    text === null
      ? { listenPort: DEFAULT_LISTEN_PORT, httpPort: DEFAULT_HTTP_PORT }
      : wantedPorts(text);
  const shardPorts = new Map(servers.map(({ name, port }) => [name, port]));
  const taken = new Set(shardPorts.values());
  const listenPort = await nextFreePort(wanted.listenPort, taken);
  taken.add(listenPort);
  const httpPort = wanted.httpPort === null ? null : await nextFreePort(wanted.httpPort, taken);
  if (listenPort !== wanted.listenPort) {
    console.log(`  Port ${wanted.listenPort} is taken: the proxy listens on ${listenPort}.`);
  }
  if (httpPort !== wanted.httpPort) {
    console.log(`  Port ${wanted.httpPort} is taken: metrics are on ${httpPort}.`);
  }
  const endpoints = { listenPort, httpPort: httpPort ?? DEFAULT_HTTP_PORT, shardPorts };
  const updated =
    text === null ? newConfig(endpoints, state.appPassword) : retarget(text, endpoints);
  if (updated !== text) writePrivately(configFile, updated);
  return { listenPort, httpPort };
}

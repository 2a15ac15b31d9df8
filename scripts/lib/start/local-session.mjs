// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import { nextFreePort } from '../ports.mjs';
import { printFailure } from '../project.mjs';
import { newConfig, retarget, wantedPorts } from './config-file.mjs';
import { startServers } from './local-cluster.mjs';
import { startProxyProcess } from './proxy-process.mjs';
import { loadSampleData } from './sample-data.mjs';
import { checkCluster } from './self-check.mjs';
import { configFile, lock, readState, writePrivately, writeState } from './state.mjs';
import { printSummary } from './summary.mjs';

const DEFAULT_LISTEN_PORT = 6432;
const DEFAULT_HTTP_PORT = 9400;
/**
 * One Ctrl-C comes twice: from the terminal, and from npm, which passes on what it gets. Nobody
 * presses the second one that fast.
 */
const SAME_SIGNAL_MS = 500;
/** As shells count: 128 + SIGINT. */
const INTERRUPTED = 130;

/** @typedef {import('../postgres-server.mjs').PostgresServer} PostgresServer */
/** @typedef {import('../proxy-child.mjs').ProxyChild} ProxyChild */

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
    /** @private @type {ProxyChild | null} */
    this.proxy = null;
    /** Aborted as soon as we stop, for whatever reason. @private */
    this.stop = new AbortController();
    /** Settled when somebody asks us to stop. @private @type {Promise<void>} */
    this.interrupted = new Promise((resolve) => {
      let first = 0;
      const onSignal = () => {
        if (this.stop.signal.aborted && Date.now() - first > SAME_SIGNAL_MS) void this.killAll();
        first ||= Date.now();
        this.stop.abort();
        resolve();
      };
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
      // Nobody reads us any more: the terminal was closed, or `| head` has seen enough.
      process.stdout.on('error', () => {
        this.stop.abort();
        resolve();
      });
    });
  }

  /**
   * @param {{ check: boolean }} options
   * @returns {Promise<number>} exit code
   */
  async run({ check }) {
    const unlock = lock();
    const work = this.work(check);
    let exitCode = 0;
    try {
      const done = await Promise.race([work.then(() => true), this.interrupted.then(() => false)]);
      if (check && !done) exitCode = INTERRUPTED;
    } catch (error) {
      printFailure(error);
      exitCode = 1;
    }
    this.stop.abort();
    console.log('\nStopping (Ctrl-C again to kill)...');
    await this.stopAll();
    // A step that fails because it lost its ground is no news; what it started meanwhile must go.
    await work.catch(() => {});
    await this.stopAll();
    console.log('Stopped.');
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
    const { signal } = this.stop;
    const servers = await startServers(state, (server) => this.servers.push(server), signal);
    const endpoints = await writeConfig(state, servers);
    signal.throwIfAborted();
    console.log('Starting the proxy...');
    const url = `postgres://app@127.0.0.1:${endpoints.listenPort}/shop`;
    const proxy = startProxyProcess(url);
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
    if (!signal.aborted) throw proxy.failure(`the proxy ended with ${reason}`);
  }

  /**
   * A server may be ended on purpose, to see what becomes of the rest.
   * @private
   */
  reportEndingServers() {
    for (const server of this.servers) {
      void server.exited.then((reason) => {
        if (this.stop.signal.aborted) return;
        console.log(`Server ${server.name} ended (${reason}); its log is ${server.logFile}`);
        console.log('The proxy goes on with the others. Ctrl-C and npm start bring it back.');
      });
    }
  }

  /** @private */
  async stopAll() {
    await this.proxy?.stop();
    await Promise.all(this.servers.map((server) => server.stop()));
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

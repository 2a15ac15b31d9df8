// @ts-check
import { createServer } from 'node:net';
import { StepError } from './project.mjs';

const LOOPBACK = '127.0.0.1';
const PORT_MAX = 65535;

/**
 * A loopback port that nobody listens on now. Somebody may take it before its user does.
 * @returns {Promise<number>}
 */
export async function anyFreePort() {
  const port = await bind(0);
  if (port === null) throw new StepError(`no free port on ${LOOPBACK}`);
  return port;
}

/**
 * The first free loopback port from `wanted` up.
 * @param {number} wanted
 * @param {ReadonlySet<number>} [taken] ports that are spoken for
 */
export async function nextFreePort(wanted, taken = new Set()) {
  for (let port = wanted; port <= PORT_MAX; port++) {
    if (!taken.has(port) && (await bind(port)) !== null) return port;
  }
  throw new StepError(`no free port on ${LOOPBACK} from ${wanted} up`);
}

/**
 * @param {number} port 0: any
 * @returns {Promise<number | null>} the port; null where it is taken
 */
function bind(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      // EACCES: a port below 1024, which only root may use.
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(error);
    });
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => {
        resolve(bound);
      });
    });
  });
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from '../metrics/metrics.js';
import type { Logger } from '../util/logger.js';
import { startPage } from './start-page.js';

/**
 * A probe or scraper sends its request at once; whoever has not after 5 s holds a socket for
 * nothing.
 */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Prometheus scrapes every 15 to 60 s and reconnects gladly. */
const KEEP_ALIVE_MS = 5_000;
/**
 * Scrapers and probes of one machine need a handful; a leak of a client must not take the process's
 * sockets.
 */
const CONNECTIONS_MAX = 200;

/**
 * Whether traffic may come: every shard reachable, catalog loaded. `reasons`: one line for each
 * thing amiss.
 */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

export interface HttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly metrics: Metrics;
  readonly isReady: () => Readiness;
  readonly log: Logger;
}

export interface HttpListener {
  /** The port in use. */
  readonly port: number;
  /** Ends open connections, too. */
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';
const HTML = 'text/html; charset=utf-8';

type Handler = (options: HttpOptions) => Answer | Promise<Answer>;

/** Every page. A new one is one line here. */
const pages: Readonly<Record<string, Handler>> = {
  '/': () => ({ status: 200, type: HTML, body: startPage(Object.keys(pages)) }),
  '/metrics': async ({ metrics }) => ({
    status: 200,
    type: metrics.contentType,
    body: await metrics.render(),
  }),
  // Answering at all is the proof: the event loop turns.
  '/healthz': () => ({ status: 200, type: TEXT, body: 'ok\n' }),
  '/readyz': ({ isReady }) => readiness(isReady()),
};

/** Starts the HTTP listener of metrics and health. Rejects where the port cannot be had. */
export async function startHttp(options: HttpOptions): Promise<HttpListener> {
  const server = createServer((request, response) => {
    void respond(request, response, options);
  });
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, options.host, options.port);
  server.on('error', (error) => options.log.error({ err: error }, 'http listener'));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
): Promise<void> {
  let answer: Answer;
  try {
    answer = await answerTo(request, options);
  } catch (error) {
    options.log.error({ err: error, url: request.url }, 'http request failed');
    answer = { status: 500, type: TEXT, body: 'internal error\n' };
  }
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(answer.status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  // A body that nobody asked for would stay in the socket's buffer.
  request.resume();
}

async function answerTo(request: IncomingMessage, options: HttpOptions): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, type: TEXT, body: 'only GET and HEAD\n' };
  }
  const path = (request.url ?? '/').split('?', 1)[0]!;
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page !== undefined) return page(options);
  const body = `nothing here; there are ${Object.keys(pages).join(' ')}\n`;
  return { status: 404, type: TEXT, body };
}

function readiness({ ready, reasons }: Readiness): Answer {
  if (ready) return { status: 200, type: TEXT, body: 'ready\n' };
  return { status: 503, type: TEXT, body: `not ready\n${reasons.map((r) => `${r}\n`).join('')}` };
}

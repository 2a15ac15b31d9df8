import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHttp, type HttpListener, type Readiness } from '../../../src/admin/http.js';
import { Metrics } from '../../../src/metrics/metrics.js';
import { createLogger } from '../../../src/util/logger.js';

let http: HttpListener;
let readiness: Readiness;
let metrics: Metrics;
const url = (path: string): string => `http://127.0.0.1:${http.port}${path}`;

beforeEach(async () => {
  readiness = { ready: true, reasons: [] };
  metrics = new Metrics({ processMetrics: false });
  http = await startHttp({
    host: '127.0.0.1',
    port: 0,
    metrics,
    isReady: () => readiness,
    log: createLogger('silent'),
  });
});
afterEach(() => http.close());

describe('the HTTP listener', () => {
  test('serves metrics in the Prometheus text format', async () => {
    metrics.clientsAccepted = 4;
    const response = await fetch(url('/metrics?x=1'));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    expect(await response.text()).toContain('shardgate_clients_accepted_total 4');
  });

  test('is healthy while it answers, ready or not', async () => {
    readiness = { ready: false, reasons: ['shard s1: connection refused'] };
    expect((await fetch(url('/healthz'))).status).toBe(200);
  });

  test('gives the reasons why it is not ready, and 200 once it is', async () => {
    readiness = { ready: false, reasons: ['shard s1: connection refused', 'catalog not loaded'] };
    const not = await fetch(url('/readyz'));
    expect(not.status).toBe(503);
    expect(await not.text()).toBe('not ready\nshard s1: connection refused\ncatalog not loaded\n');
    readiness = { ready: true, reasons: [] };
    expect((await fetch(url('/readyz'))).status).toBe(200);
  });

  test('lists its pages at / and wherever there is none', async () => {
    expect(await (await fetch(url('/'))).text()).toContain('<a href="/metrics">');
    for (const path of ['/nothing', '/metrics/', '/constructor', '/__proto__', '//metrics']) {
      const response = await fetch(url(path));
      expect(response.status, path).toBe(404);
      expect(await response.text()).toContain('/readyz');
    }
  });

  test('answers HEAD with the headers of GET and no body', async () => {
    const response = await fetch(url('/healthz'), { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('3');
    expect(await response.text()).toBe('');
  });

  test('refuses to be written to', async () => {
    const response = await fetch(url('/metrics'), { method: 'POST', body: 'x'.repeat(100_000) });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  test('answers 500 and lives on when a page fails', async () => {
    metrics.poolGauges = () => {
      throw new Error('owner is gone');
    };
    expect((await fetch(url('/metrics'))).status).toBe(500);
    expect((await fetch(url('/healthz'))).status).toBe(200);
  });

  test('answers garbage with 400 and lives on', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(http.port, '127.0.0.1', () => socket.write('\x00\x01\r\n\r\n'));
      socket.setEncoding('latin1');
      let text = '';
      socket.on('data', (chunk: string) => (text += chunk));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
    expect(answer).toContain('400 Bad Request');
    expect((await fetch(url('/healthz'))).status).toBe(200);
  });

  test('closes at once although a client holds its connection open', async () => {
    const socket = connect(http.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    await http.close();
    await closed;
  });

  test('says so when its port is taken', async () => {
    const second = startHttp({
      host: '127.0.0.1',
      port: http.port,
      metrics,
      isReady: () => readiness,
      log: createLogger('silent'),
    });
    await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

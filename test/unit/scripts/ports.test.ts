import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { anyFreePort, nextFreePort } from '../../../scripts/lib/ports.mjs';

test('a taken port is passed over, and so is one that is spoken for', async () => {
  const base = await anyFreePort();
  const server = createServer().listen(base, '127.0.0.1');
  await once(server, 'listening');
  try {
    const next = await nextFreePort(base);
    expect(next).toBeGreaterThan(base);
    expect(await nextFreePort(base, new Set([next]))).toBeGreaterThan(next);
  } finally {
    server.close();
  }
});

test('a free port is taken as it is', async () => {
  const port = await anyFreePort();
  expect(await nextFreePort(port)).toBe(port);
});

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import type { Config } from '../../../src/config/config.js';
import { Notifications } from '../../../src/frontend/notifications.js';
import type { Logger } from '../../../src/util/logger.js';

const HEARTBEAT_MS = 15_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('the connection that listens is given up when it owes an answer from one heartbeat to the next', async () => {
  const notifications = new Notifications(() => ({}) as Config, {} as Logger);
  let given = 0;
  const owner = {
    discard: () => {
      given++;
      notifications.close();
    },
  };
  const nothing = (): void => undefined;
  const backend = { owner, shard: { name: 's0' }, query: nothing, sync: nothing, flush: nothing };
  notifications.onBackend(backend as unknown as BackendConnection);
  const first = notifications.listen('a', { hear: nothing });
  notifications.ready();
  await first;

  // Asked just before the heartbeat, answered just behind it.
  vi.advanceTimersByTime(HEARTBEAT_MS - 1);
  const second = notifications.listen('b', { hear: nothing });
  vi.advanceTimersByTime(1);
  notifications.ready();
  await second;
  expect(given).toBe(0);

  // It is asked at a heartbeat, and does not answer.
  vi.advanceTimersByTime(HEARTBEAT_MS);
  expect(given).toBe(0);
  vi.advanceTimersByTime(HEARTBEAT_MS);
  expect(given).toBe(1);
});

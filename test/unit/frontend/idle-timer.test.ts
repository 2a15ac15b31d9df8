import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { IdleTimer } from '../../../src/frontend/idle-timer.js';
import { settingDurationMs } from '../../../src/util/setting-duration.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('fires once, when nothing has stopped it in time', () => {
  let fired = 0;
  const timer = new IdleTimer(() => fired++);
  timer.start(100);
  vi.advanceTimersByTime(99);
  timer.stop();
  vi.advanceTimersByTime(1000);
  expect(fired).toBe(0);
  timer.start(100);
  vi.advanceTimersByTime(60);
  // It waits already.
  timer.start(100);
  vi.advanceTimersByTime(40);
  expect(fired).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(fired).toBe(1);
});

test('counts from its last start, also where that comes while the one before still runs', () => {
  let fired = 0;
  const timer = new IdleTimer(() => fired++);
  timer.start(100);
  timer.stop();
  vi.advanceTimersByTime(80);
  timer.start(100);
  vi.advanceTimersByTime(99);
  expect(fired).toBe(0);
  vi.advanceTimersByTime(1);
  expect(fired).toBe(1);
});

test('takes another limit at its next start, and 0 for none', () => {
  let fired = 0;
  const timer = new IdleTimer(() => fired++);
  timer.start(0);
  vi.advanceTimersByTime(1000);
  timer.start(1000);
  timer.stop();
  timer.start(10);
  vi.advanceTimersByTime(10);
  expect(fired).toBe(1);
  timer.start(10);
  timer.close();
  vi.advanceTimersByTime(1000);
  expect(fired).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test.each([
  ['5000', 5000],
  ['250ms', 250],
  [' 1.5 s ', 1500],
  ['2min', 120_000],
  ['1h', 3_600_000],
  ['1d', 86_400_000],
  ['500us', 1],
  ['100d', 0],
  ['0', 0],
  ['-1', 0],
  ['soon', 0],
  [undefined, 0],
])('the setting %s is %i ms', (value, ms) => {
  expect(settingDurationMs(value)).toBe(ms);
});

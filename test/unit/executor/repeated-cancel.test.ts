import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BackendSink } from '../../../src/backend/postgres/backend-sink.js';
import { PendingCancels } from '../../../src/backend/postgres/pending-cancels.js';
import { RepeatedCancel } from '../../../src/executor/repeated-cancel.js';

const LONG_MS = 10_000;
const sink = (): BackendSink => ({}) as BackendSink;

let stops: number;
beforeEach(() => {
  vi.useFakeTimers();
  stops = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

function backendsOf(session: BackendSink): [Backend, Backend] {
  const made = (): Backend => ({ alive: true, cancels: new PendingCancels(), sink: session });
  return [made(), made()];
}

interface Backend {
  alive: boolean;
  readonly cancels: PendingCancels;
  sink: BackendSink;
}

test('cancels again until all have ended', () => {
  const cancel = new RepeatedCancel(backendsOf(sink()));
  cancel.start(() => stops++);
  vi.advanceTimersByTime(LONG_MS);
  expect(stops).toBeGreaterThan(10);
  const then = vi.fn();
  cancel.settle(then);
  expect(then).toHaveBeenCalledOnce();
  const before = stops;
  vi.advanceTimersByTime(LONG_MS);
  expect(stops).toBe(before);
});

test('cancels nothing once the session has closed, though one of its backends had broken off before', () => {
  const backends = backendsOf(sink());
  const [lost, other] = backends;
  const cancel = new RepeatedCancel(backends);
  lost.alive = false;
  cancel.start(() => stops++);
  expect(stops).toBe(1);
  // The pool has it, and then somebody else.
  other.sink = sink();
  vi.advanceTimersByTime(LONG_MS);
  expect(stops).toBe(1);
});

test('what waits for a cancel on its way does not go on once the session has closed', async () => {
  const backends = backendsOf(sink());
  let deliver: (inTime: boolean) => void = () => undefined;
  backends[1].cancels.send(new Promise((resolve) => (deliver = resolve)));
  const then = vi.fn();
  new RepeatedCancel(backends).settle(then);
  const pool = sink();
  for (const backend of backends) backend.sink = pool;
  deliver(true);
  await vi.advanceTimersByTimeAsync(1);
  expect(backends[1].cancels.pending).toBe(false);
  expect(then).not.toHaveBeenCalled();
});

test('what waits for a cancel on its way goes on where all backends have broken off', async () => {
  const backends = backendsOf(sink());
  let deliver: (inTime: boolean) => void = () => undefined;
  backends[1].cancels.send(new Promise((resolve) => (deliver = resolve)));
  const then = vi.fn();
  new RepeatedCancel(backends).settle(then);
  for (const backend of backends) backend.alive = false;
  deliver(true);
  await vi.advanceTimersByTimeAsync(1);
  expect(then).toHaveBeenCalledOnce();
});

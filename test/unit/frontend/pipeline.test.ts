import { expect, test } from 'vitest';
import { Pipeline } from '../../../src/frontend/pipeline.js';
import type { Session } from '../../../src/frontend/session.js';
import { OperationSink } from '../executor/operation-sink.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';

test('a backend whose loan has ended is not used any more', () => {
  const session = Object.assign(new OperationSink(), { ride: { isOn: () => false } });
  const pipeline = new Pipeline(session as unknown as Session);
  const backend = new ScriptedTransport(8).backend(session);
  expect(pipeline.switchTo(backend)).toBe(true);
  backend.sink = new OperationSink();
  expect(() => pipeline.switchTo(backend)).toThrow('does not have it');
});

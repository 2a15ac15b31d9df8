import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { ClientInput, type InputHandler } from '../../../src/frontend/client-input.js';
import type { Transport } from '../../../src/net/transport.js';
import { parse } from '../../support/frontend-bytes.js';

/** A socket that nobody reads from; what the input does to it is noted. */
function silentTransport(): Transport & { paused: boolean } {
  return {
    handler: { onBytes: () => undefined, onDrain: () => undefined, onClose: () => undefined },
    paused: false,
    write: () => true,
    pause() {
      this.paused = true;
    },
    resume() {
      this.paused = false;
    },
    end: () => undefined,
    destroy: () => undefined,
    aheadEndsWith: () => null,
    writable: true,
    congested: false,
    remote: 'nowhere',
    bytesRead: 0,
    bytesWritten: 0,
  };
}

/** Every message costs a millisecond, and waits for nothing. */
function busyHandler(handled: number[]): InputHandler {
  return {
    busy: false,
    over: false,
    congested: false,
    messageBytesMax: 1 << 20,
    copyTarget: null,
    onMessage: (_type, buffer, start) => {
      handled.push(buffer[start + 5]!);
      const until = performance.now() + 1;
      while (performance.now() < until);
      return true;
    },
    onCopyData: () => undefined,
    onInputEnd: () => undefined,
    onPumped: () => undefined,
    onOutOfSync: () => undefined,
    onTooLarge: () => undefined,
  };
}

test('messages that come in a flood leave others their turn, and are all handled in order', async () => {
  const handled: number[] = [];
  const transport = silentTransport();
  const input = new ClientInput(busyHandler(handled), transport);
  const names = Array.from({ length: 120 }, (_, i) => i + 1);
  const bytes = Buffer.concat(names.map((name) => parse('', String.fromCharCode(name))));
  input.onBytes(bytes, 0, bytes.length);
  expect(handled.length).toBeLessThan(60);
  expect(transport.paused).toBe(true);

  let turns = 0;
  while (handled.length < names.length && turns < 100) {
    const before = handled.length;
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled.length - before).toBeLessThan(60);
    turns++;
  }
  expect(handled).toEqual(names);
  expect(turns).toBeGreaterThan(1);
  expect(transport.paused).toBe(false);
});

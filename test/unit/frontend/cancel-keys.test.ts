import { expect, test } from 'vitest';
import { CancelKeys } from '../../../src/frontend/cancel-keys.js';

/** Counts how often it is cancelled. */
class Target {
  readonly user = 'app';
  cancelled = 0;

  cancel(delivered: () => void = () => undefined): void {
    this.cancelled++;
    delivered();
  }

  shutDown(): void {
    // Nobody asks for it.
  }
}

const nothing = (): void => undefined;

test('the right key cancels its session, and no other', () => {
  const keys = new CancelKeys();
  const [ann, bob] = [new Target(), new Target()];
  const key = keys.issue(ann, 32);
  keys.issue(bob, 32);
  let done = 0;
  keys.cancel(key.pid, Buffer.from(key.secret), () => done++);
  expect(done).toBe(1);
  expect([ann.cancelled, bob.cancelled]).toEqual([1, 0]);
});

test.each([4, 32])(
  'a wrong key of %i bytes does nothing, nor does one of another length',
  (length) => {
    const keys = new CancelKeys();
    const target = new Target();
    const { pid, secret } = keys.issue(target, length);
    expect(secret).toHaveLength(length);
    const wrong = Buffer.from(secret);
    wrong[length - 1]! ^= 1;
    for (const other of [
      wrong,
      secret.subarray(1),
      Buffer.concat([secret, secret]),
      Buffer.alloc(0),
    ]) {
      keys.cancel(pid, other, nothing);
    }
    keys.cancel(pid + 1, secret, nothing);
    let done = 0;
    keys.cancel(-1, secret, () => done++);
    expect(done).toBe(1);
    expect(target.cancelled).toBe(0);
  },
);

test('a session that has ended cannot be cancelled', () => {
  const keys = new CancelKeys();
  const target = new Target();
  const { pid, secret } = keys.issue(target, 4);
  keys.withdraw(pid);
  keys.withdraw(pid);
  keys.cancel(pid, secret, nothing);
  expect(target.cancelled).toBe(0);
});

test('process ids are positive and unique among those that live, secrets are their own', () => {
  const keys = new CancelKeys();
  const issued = Array.from({ length: 1000 }, () => keys.issue(new Target(), 32));
  expect(new Set(issued.map(({ pid }) => pid)).size).toBe(1000);
  expect(new Set(issued.map(({ secret }) => secret.toString('hex'))).size).toBe(1000);
  for (const { pid } of issued) expect(pid > 0 && pid <= 0x7fffffff).toBe(true);
});

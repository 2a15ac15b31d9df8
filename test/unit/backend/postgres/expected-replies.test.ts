import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CAPTURE,
  DROP,
  Expect,
  ExpectedReplies,
  PASS,
  type ExpectKind,
} from '../../../../src/backend/postgres/expected-replies.js';

describe('ExpectedReplies', () => {
  test('nothing expected: unasked messages are dropped', () => {
    const replies = new ExpectedReplies();
    expect(replies.empty).toBe(true);
    expect(replies.headKind).toBe(0);
    expect(replies.headAction).toBe(DROP);
  });

  test('kinds and actions come out in the order they went in', () => {
    const replies = new ExpectedReplies();
    const entries = [
      [Expect.parse, DROP],
      [Expect.bind, PASS],
      [Expect.execute, CAPTURE],
      [Expect.sync, PASS],
    ] as const;
    for (const [kind, action] of entries) replies.push(kind, action);
    for (const [kind, action] of entries) {
      expect([replies.headKind, replies.headAction]).toEqual([kind, action]);
      expect(replies.pop()).toBe(kind);
    }
    expect(replies.empty).toBe(true);
  });

  test('synthetic replies keep their place and their bytes', () => {
    const replies = new ExpectedReplies();
    replies.push(Expect.parse, PASS);
    replies.pushSynthetic(Buffer.from('one'));
    replies.pushSynthetic(Buffer.from('two'));
    replies.push(Expect.sync, PASS);
    replies.pushSynthetic(Buffer.from('three'));
    replies.pop();
    expect(replies.headKind).toBe(Expect.synthetic);
    expect(replies.headAction).toBe(PASS);
    expect(replies.popSynthetic().toString()).toBe('one');
    expect(replies.popSynthetic().toString()).toBe('two');
    expect(replies.pop()).toBe(Expect.sync);
    expect(replies.popSynthetic().toString()).toBe('three');
    expect(replies.empty).toBe(true);
  });

  test('a ring of any length behaves as a plain list does', () => {
    const entry = fc.record({
      kind: fc.integer({ min: Expect.parse, max: Expect.query }),
      action: fc.constantFrom(PASS, DROP, CAPTURE),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(entry, { maxLength: 80 }), fc.nat(100))), (steps) => {
        const replies = new ExpectedReplies();
        const list: { kind: number; action: number }[] = [];
        for (const [pushes, pops] of steps) {
          for (const { kind, action } of pushes) replies.push(kind as ExpectKind, action);
          list.push(...pushes);
          for (let i = 0; i < pops && list.length > 0; i++) {
            const { kind, action } = list.shift()!;
            expect([replies.headAction, replies.pop()]).toEqual([action, kind]);
          }
          expect(replies.empty).toBe(list.length === 0);
        }
      }),
    );
  });
});

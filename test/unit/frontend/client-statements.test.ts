import { describe, expect, test } from 'vitest';
import type { ClientStatement } from '../../../src/frontend/client-statement.js';
import { ClientStatements } from '../../../src/frontend/client-statements.js';

function statement(name: string, bytes = 10): ClientStatement {
  return { name, prepared: { parseRest: Buffer.alloc(bytes) } } as unknown as ClientStatement;
}

describe('statements of a pipeline that fails', () => {
  test('are what they were before the messages that were skipped', () => {
    const statements = new ClientStatements(() => 10);
    const [first, kept] = [statement(''), statement('kept')];
    statements.add(first);
    statements.add(kept);
    statements.trust();
    statements.add(statement('accepted'));
    statements.close('kept');
    statements.add(statement('skipped'));
    statements.replaceUnnamed();
    statements.add(statement(''));
    statements.undo(3, false);
    expect(statements.named('kept')).toBe(kept);
    expect(statements.named('')).toBe(first);
    expect(statements.has('accepted')).toBe(true);
    expect(statements.has('skipped')).toBe(false);
  });

  test('that has no end keep about a megabyte of those that were replaced', () => {
    const MEGABYTE = 1024 * 1024;
    const statements = new ClientStatements(() => 10);
    const replaced = Array.from({ length: 100 }, () => statement('', MEGABYTE / 10));
    for (const each of replaced) statements.add(each);
    const restored = new Set<ClientStatement>();
    for (let i = 0; i < replaced.length; i++) {
      statements.undo(1, false);
      restored.add(statements.named(''));
    }
    expect(restored.size).toBeGreaterThan(1);
    expect(restored.size).toBeLessThan(12);
    for (let i = 0; i < 100_000; i++) statements.close(String(i));
    statements.add(statement('last'));
    statements.undo(1, false);
    expect(statements.has('last')).toBe(false);
  });
});

import { expect, test } from 'vitest';
import { readErrorFields } from '../../../src/protocol/backend-messages.js';
import { withoutCopyLine } from '../../../src/protocol/copy-context.js';
import { message } from './messages.js';

function contextOf(context: string): string | undefined {
  const fields = `SERROR\0C22P02\0Minvalid input\0W${context}\0ttable\0\0`;
  const told = withoutCopyLine(message('E', Buffer.from(fields)));
  const read = readErrorFields(told, 0, told.length);
  expect([read.get('S'), read.get('C'), read.get('M'), read.get('t')]).toEqual([
    'ERROR',
    '22P02',
    'invalid input',
    'table',
  ]);
  return read.get('W');
}

test('the line of a COPY is left out, whatever stands around it', () => {
  expect(contextOf('COPY t, line 2, column n: "x, line 5"')).toBe('COPY t, column n: "x, line 5"');
  expect(contextOf('COPY t, line 12: "6\ta"')).toBe('COPY t: "6\ta"');
  expect(contextOf('COPY t, line 3')).toBe('COPY t');
  expect(contextOf('PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 3')).toBe(
    'PL/pgSQL function f() line 3 at RAISE\nCOPY t',
  );
  expect(contextOf('SQL statement "SELECT 1"')).toBe('SQL statement "SELECT 1"');
});

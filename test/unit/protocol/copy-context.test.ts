import { expect, test } from 'vitest';
import { readErrorFields } from '../../../src/protocol/backend-messages.js';
import { shownCopyValue, withCopyLine } from '../../../src/protocol/copy-context.js';
import { message } from './messages.js';

function contextOf(
  context: string,
  lineOf: (line: number) => number | null = () => null,
): string | undefined {
  const fields = `SERROR\0C22P02\0Minvalid input\0W${context}\0ttable\0\0`;
  const told = withCopyLine(message('E', Buffer.from(fields)), lineOf);
  const read = readErrorFields(told, 0, told.length);
  expect([read.get('S'), read.get('C'), read.get('M'), read.get('t')]).toEqual([
    'ERROR',
    '22P02',
    'invalid input',
    'table',
  ]);
  return read.get('W');
}

test('a line of a COPY that nobody knows is left out, whatever stands around it', () => {
  expect(contextOf('COPY t, line 2, column n: "x, line 5"')).toBe('COPY t, column n: "x, line 5"');
  expect(contextOf('COPY t, line 12: "6\ta"')).toBe('COPY t: "6\ta"');
  expect(contextOf('COPY t, line 3')).toBe('COPY t');
  expect(contextOf('PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 3')).toBe(
    'PL/pgSQL function f() line 3 at RAISE\nCOPY t',
  );
  expect(contextOf('SQL statement "SELECT 1"')).toBe('SQL statement "SELECT 1"');
});

test('the line of a COPY is that of the data', () => {
  const tenfold = (line: number): number => 10 * line;
  expect(contextOf('COPY t, line 2, column n: "x, line 5"', tenfold)).toBe(
    'COPY t, line 20, column n: "x, line 5"',
  );
  expect(contextOf('COPY t, line 3: "COPY t, line 4"', tenfold)).toBe(
    'COPY t, line 30: "COPY t, line 4"',
  );
});

test('values are shown up to a hundred bytes, and characters whole', () => {
  const shown = (text: string): string => {
    const bytes = Buffer.from(text);
    return shownCopyValue(bytes, 0, bytes.length);
  };
  expect(shown('x'.repeat(100))).toBe('x'.repeat(100));
  expect(shown('x'.repeat(101))).toBe(`${'x'.repeat(100)}...`);
  expect(shown('x'.repeat(99) + 'éé')).toBe(`${'x'.repeat(99)}...`);
});

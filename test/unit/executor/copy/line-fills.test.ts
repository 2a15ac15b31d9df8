import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineFills } from '../../../../src/executor/copy/line-fills.js';
import { csvFormat, cutsArbitrary, textFormat } from './splitting.js';
import type { CopyFormat } from '../../../../src/planner/plan.js';

/** The data with `#0`, `#1`, ... behind its rows, where it comes in pieces of these lengths. */
function filled(
  format: CopyFormat,
  data: string,
  cuts: readonly number[] = [],
  marker = false,
): string {
  if (format.kind === 'binary') throw new Error('no lines');
  const lines = new LineFills(format, marker);
  const bytes = Buffer.from(data);
  const out: Buffer[] = [];
  let count = 0;
  const rows = (more: number): string[][] => Array.from({ length: more }, () => [`#${count++}`]);
  let at = 0;
  for (const length of [...cuts, bytes.length]) {
    const end = Math.min(bytes.length, at + length);
    // A chunk may have moved when its values are there.
    const fresh = rows(lines.scan(bytes, at, end));
    const moved = Buffer.concat([Buffer.from('...'), bytes.subarray(at, end)]);
    out.push(lines.fill(moved, 3, moved.length, fresh));
    at = end;
  }
  if (lines.endsInRow) out.push(lines.lastFields(rows(1)[0]!));
  return Buffer.concat(out).toString();
}

describe('text', () => {
  const format = textFormat();
  test.each([
    ['a\tb\nc\td\n', 'a\tb\t#0\nc\td\t#1\n'],
    ['a\r\nb', 'a\t#0\r\nb\t#1'],
    ['a\rb\r', 'a\t#0\rb\t#1\r'],
    ['\n\n', '\t#0\n\t#1\n'],
    ['a\\\nb\n', 'a\\\nb\t#0\n'],
    ['a\\\\\nb\n', 'a\\\\\t#0\nb\t#1\n'],
    ['a\n\\.\nb\n', 'a\t#0\n\\.\nb\n'],
    ['a\n\\.', 'a\t#0\n\\.'],
    ['\\.x\n', '\\.x\t#0\n'],
    ['', ''],
  ])('%j', (data, right) => {
    expect(filled(format, data)).toBe(right);
    expect(filled(format, data, Array<number>(data.length).fill(1))).toBe(right);
  });

  test('the header gets none, and a backslash at the very end is an error', () => {
    expect(filled(textFormat({ header: true }), 'x\ty\na\tb\n')).toBe('x\ty\na\tb\t#0\n');
    expect(filled(textFormat({ header: true }), 'x')).toBe('x');
    expect(() => filled(format, 'a\\')).toThrow('ends in a backslash');
  });
});

describe('csv', () => {
  test.each([
    [csvFormat(), 'a,b\nc,d', 'a,b,#0\nc,d,#1'],
    [csvFormat(), '"a\n""b",c\r\n', '"a\n""b",c,#0\r\n'],
    [csvFormat({ escape: 0x5c }), '"a\\"\nb"\n\\\n', '"a\\"\nb",#0\n\\,#1\n'],
    [csvFormat({ delimiter: 0x3b, header: true }), 'h;"\n"\na;b\n', 'h;"\n"\na;b;#0\n'],
    [csvFormat(), '"never', '"never'],
    [csvFormat(), 'a\n\\.\nb\n', 'a,#0\n\\.,#1\nb,#2\n'],
  ])('%# %j', (format, data, right) => {
    expect(filled(format, data)).toBe(right);
    expect(filled(format, data, Array<number>(data.length).fill(1))).toBe(right);
  });

  test('older servers end at a line of its own', () => {
    expect(filled(csvFormat(), 'a\n\\.\nb\n', [], true)).toBe('a,#0\n\\.\nb\n');
  });
});

test('wherever the data is cut, it is the same', () => {
  const data = fc
    .array(fc.constantFrom('a', ',', '\t', '"', '\\', '.', '\n', '\r\n', '\\.\n'), {
      maxLength: 40,
    })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(data, cutsArbitrary, fc.boolean(), fc.boolean(), (text, cuts, csv, header) => {
      const format = csv ? csvFormat({ header }) : textFormat({ header });
      const safe = text.replace(/\\+$/, '');
      expect(filled(format, safe, cuts, true)).toBe(filled(format, safe, [], true));
    }),
  );
});

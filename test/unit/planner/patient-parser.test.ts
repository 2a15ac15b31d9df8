import { expect, test } from 'vitest';
import { PatientParser } from '../../../src/planner/patient-parser.js';
import type { ParsedStatement, TextParser } from '../../../src/sql/parser.js';

const TREE: ParsedStatement[] = [{ node: { SelectStmt: {} }, start: 0, length: 1 }];

/** Texts of more than four bytes are large here; `bad` in them is an error. */
class SlowParser implements TextParser {
  calls = 0;

  parse(
    bytes: Uint8Array,
    start = 0,
    end = bytes.length,
  ): ParsedStatement[] | Promise<ParsedStatement[]> {
    this.calls++;
    if (end - start <= 4) return TREE;
    const isBad = Buffer.from(bytes.subarray(start, end)).includes('bad');
    return isBad ? Promise.reject(new Error('bad text')) : Promise.resolve(TREE);
  }
}

test('what is parsed at once is not waited for', () => {
  const patient = new PatientParser(new SlowParser());
  expect(patient.parse(Buffer.from('a'))).toBe(TREE);
  expect(patient.waits).toBe(false);
});

test('a large text is answered by a promise first, and at once when it has been learnt', async () => {
  const slow = new SlowParser();
  const patient = new PatientParser(slow);
  const text = Buffer.from('a large text');
  expect(patient.parse(text, 2)).toBeInstanceOf(Promise);
  expect(patient.waits).toBe(true);
  await patient.learn();
  expect(patient.waits).toBe(false);
  expect(patient.parse(Buffer.from('large text'))).toBe(TREE);
  expect(slow.calls).toBe(1);
  expect(patient.parse(text)).toBeInstanceOf(Promise);
});

test('what is wrong with a text is thrown then', async () => {
  const patient = new PatientParser(new SlowParser());
  const text = Buffer.from('a bad text');
  const first = patient.parse(text);
  await expect(first).rejects.toThrow('bad text');
  await patient.learn();
  expect(() => patient.parse(text)).toThrow('bad text');
});

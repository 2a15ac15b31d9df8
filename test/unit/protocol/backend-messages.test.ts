import { describe, expect, test } from 'vitest';
import { sqlError } from '../../../src/errors/sql-error.js';
import {
  readDataRow,
  readErrorFields,
  readParameterStatus,
  readSqlState,
  readTag,
  ready,
  writeCommandComplete,
  writeError,
  writeNotice,
  writeParameterStatus,
  writeReadyForQuery,
} from '../../../src/protocol/backend-messages.js';
import { TxStatus } from '../../../src/protocol/codes.js';
import { errorBytes } from '../../../src/protocol/error-bytes.js';
import { Writer } from '../../../src/protocol/writer.js';
import { int32, message } from './messages.js';

const FRONT = Buffer.from('\x01\x02\x03');

/** Reads the message in the middle of a buffer full of letters, so that reading beyond it shows. */
function reading<T>(read: (buffer: Buffer, start: number, end: number) => T, bytes: Buffer): T {
  const buffer = Buffer.concat([FRONT, bytes, Buffer.from('CCCC\0AAAA\0')]);
  return read(buffer, FRONT.length, FRONT.length + bytes.length);
}

describe('ErrorResponse', () => {
  test('holds every field that is known, and reads back', () => {
    const error = sqlError('syntax_error', 'bad', { detail: 'why', hint: 'try', position: 7 });
    expect([...reading(readErrorFields, errorBytes(error))]).toEqual([
      ['S', 'ERROR'],
      ['V', 'ERROR'],
      ['C', '42601'],
      ['M', 'bad'],
      ['D', 'why'],
      ['H', 'try'],
      ['P', '7'],
    ]);
    expect(reading(readSqlState, errorBytes(error))).toBe('42601');
  });

  test('FATAL, without what is not known', () => {
    const writer = new Writer();
    writeError(writer, sqlError('protocol_violation', 'é', { severity: 'FATAL' }));
    expect(reading(readErrorFields, writer.take())).toEqual(
      new Map([
        ['S', 'FATAL'],
        ['V', 'FATAL'],
        ['C', '08P01'],
        ['M', 'é'],
      ]),
    );
  });

  test('a message with a zero byte forges no field', () => {
    const error = sqlError('syntax_error', 'near "\0C00000\0"');
    expect(reading(readErrorFields, errorBytes(error)).get('C')).toBe('42601');
  });

  test.each([
    ['without SQLSTATE', message('E', 'Mno\0\0'), ''],
    ['empty', message('E'), ''],
    ['only its end', message('E', '\0'), ''],
    ['cut off in a field', message('E', 'SERROR\0C42'), ''],
    ['cut off behind a letter', message('E', 'C'), ''],
    ['an SQLSTATE of odd length', message('E', 'C1\0\0'), '1'],
  ])('of an odd server: %s', (_name, bytes, state) => {
    expect(reading(readSqlState, bytes)).toBe(state);
    expect(reading(readErrorFields, bytes).get('C') ?? '').toBe(state);
  });
});

test('a warning is a NoticeResponse', () => {
  const writer = new Writer();
  writeNotice(writer, 'WARNING', '25P01', 'there is no transaction', { hint: 'h' });
  const bytes = writer.take();
  expect(bytes[0]).toBe(0x4e);
  expect(Object.fromEntries(reading(readErrorFields, bytes))).toEqual({
    S: 'WARNING',
    V: 'WARNING',
    C: '25P01',
    M: 'there is no transaction',
    H: 'h',
  });
});

describe('ParameterStatus', () => {
  test('name and value read back', () => {
    const writer = new Writer();
    writeParameterStatus(writer, 'TimeZone', 'Europe/Zürich');
    const status = reading(readParameterStatus, writer.take());
    expect(status).toEqual({ name: 'TimeZone', value: 'Europe/Zürich' });
  });

  test.each([message('S'), message('S', 'name'), message('S', 'name\0value')])(
    'cut off: nothing',
    (bytes) => {
      expect(reading(readParameterStatus, bytes)).toBeNull();
    },
  );
});

test('a tag reads back; an empty message has an empty one', () => {
  const writer = new Writer();
  writeCommandComplete(writer, 'INSERT 0 5');
  expect(reading(readTag, writer.take())).toBe('INSERT 0 5');
  expect(reading(readTag, message('C'))).toBe('');
});

test('ReadyForQuery carries the transaction status', () => {
  const writer = new Writer();
  writeReadyForQuery(writer, TxStatus.failed);
  expect(writer.take().toString('latin1')).toBe('Z\0\0\0\x05E');
});

test('messages without content', () => {
  const types = ['1', '2', '3', 'I', 'n', 's'];
  expect(
    Object.values(ready)
      .map((bytes) => bytes.toString('latin1'))
      .sort(),
  ).toEqual(types.map((type) => `${type}\0\0\0\x04`));
});

describe('DataRow', () => {
  test('NULL is not the empty value', () => {
    const row = message('D', 3, int32(2), 'é', int32(-1), int32(0));
    expect(reading(readDataRow, row)).toEqual(['é', null, '']);
  });

  test.each([
    ['no column count', message('D')],
    ['more columns than there are', message('D', 2, int32(-1))],
    ['a value that is cut off', message('D', 1, int32(5), 'abc')],
    ['a length that is cut off', message('D', 1, Buffer.from([0, 0]))],
  ])('%s: RangeError, and nothing behind the message is read', (_name, bytes) => {
    expect(() => reading(readDataRow, bytes)).toThrow(RangeError);
  });
});

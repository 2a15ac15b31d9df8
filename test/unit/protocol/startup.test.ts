import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import { CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST } from '../../../src/protocol/codes.js';
import {
  negotiation,
  readOptions,
  readStartup,
  type StartupPacket,
} from '../../../src/protocol/startup.js';
import { int32 } from './messages.js';

/** A packet of this code and content, in the middle of other bytes. */
function read(code: number, content: string | Buffer = ''): StartupPacket {
  const body = typeof content === 'string' ? Buffer.from(content) : content;
  const packet = Buffer.concat([int32(8 + body.length), int32(code), body]);
  const buffer = Buffer.concat([Buffer.from('abc'), packet, Buffer.from('user\0mallory\0\0')]);
  return readStartup(buffer, 3, 3 + packet.length);
}

const version = (major: number, minor: number): number => (major << 16) | minor;

describe('requests in front of the startup message', () => {
  test('encryption', () => {
    expect(read(SSL_REQUEST)).toEqual({ kind: 'ssl' });
    expect(read(GSSENC_REQUEST)).toEqual({ kind: 'gssenc' });
  });

  test.each([4, 32, 256])('cancel with a key of %i bytes', (length) => {
    const secret = Buffer.alloc(length, 0x5a);
    const packet = read(CANCEL_REQUEST, Buffer.concat([int32(4711), secret]));
    expect(packet).toEqual({ kind: 'cancel', pid: 4711, secret });
  });

  test('the key of a cancel request is a copy', () => {
    const buffer = Buffer.concat([int32(16), int32(CANCEL_REQUEST), int32(1), int32(2)]);
    const packet = readStartup(buffer, 0, 16);
    buffer.fill(0);
    expect(packet).toMatchObject({ secret: int32(2) });
  });

  test.each([0, 3, 7, 261, 9000])('cancel with %i bytes behind its code is noise', (length) => {
    expect(read(CANCEL_REQUEST, Buffer.alloc(length))).toEqual({ kind: 'noise' });
  });
});

describe('StartupMessage', () => {
  test.each([0, 1, 2, 3, 9999])('protocol 3.%i', (minor) => {
    const packet = read(version(3, minor), 'user\0ann\0database\0shop\0\0');
    expect(packet).toEqual({
      kind: 'startup',
      minor,
      parameters: new Map([
        ['user', 'ann'],
        ['database', 'shop'],
      ]),
      unknownOptions: [],
    });
  });

  test('no parameters at all', () => {
    expect(read(version(3, 0), '\0')).toMatchObject({ kind: 'startup', parameters: new Map() });
  });

  test('empty values, UTF-8, a name given twice: the last one counts', () => {
    const packet = read(version(3, 0), 'a\0\0user\0jürgen\0user\0ann\0\0');
    expect(packet).toMatchObject({
      parameters: new Map([
        ['a', ''],
        ['user', 'ann'],
      ]),
    });
  });

  test('protocol options are kept apart', () => {
    expect(read(version(3, 0), '_pq_.foo\x001\0user\0ann\0_pq_.bar\0\0\0')).toMatchObject({
      parameters: new Map([['user', 'ann']]),
      unknownOptions: ['_pq_.foo', '_pq_.bar'],
    });
  });

  test.each([
    ['nothing', ''],
    ['no terminator', 'user\0ann\0'],
    ['a name without value', 'user\0'],
    ['a name that is cut off', 'us'],
    ['a value that is cut off', 'user\0ann'],
    ['bytes behind the terminator', 'user\0ann\0\0x'],
    ['a second terminator', 'user\0ann\0\0\0'],
  ])('%s: 08P01, whatever stands behind it in the buffer', (_name, content) => {
    expect(read(version(3, 0), content)).toMatchObject({
      kind: 'refused',
      legacy: false,
      error: { code: '08P01', severity: 'FATAL' },
    });
  });

  test.each([
    [2, 0, true],
    [1, 0, true],
    [4, 0, false],
    [0x4754, 0x5420, false],
    [0xffff, 0xffff, false],
  ])('protocol %i.%i: 0A000; a legacy client: %s', (major, minor, legacy) => {
    const packet = read(version(major, minor), 'user\0ann\0\0');
    expect(packet).toMatchObject({ kind: 'refused', legacy, error: { code: '0A000' } });
  });

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(version(3, 0), version(3, 2), CANCEL_REQUEST, SSL_REQUEST, 0, -1),
        fc.uint8Array({ maxLength: 100 }),
        (code, content) => {
          expect(read(code, Buffer.from(content)).kind).toMatch(
            /^(ssl|gssenc|cancel|noise|startup|refused)$/,
          );
        },
      ),
    );
  });
});

describe('NegotiateProtocolVersion', () => {
  test.each([0, 1, 2])('not for 3.%i', (minor) => {
    expect(negotiation(minor, [])).toBeNull();
  });

  test('a newer minor version gets the newest spoken here, as a whole version', () => {
    expect(negotiation(9999, [])!.toString('hex')).toBe('760000000c0003000200000000');
  });

  test('unknown options are named, and the version stays what was asked for', () => {
    const bytes = negotiation(0, ['_pq_.foo', '_pq_.bar'])!;
    expect(bytes.readInt32BE(1)).toBe(bytes.length - 1);
    expect(bytes.toString('latin1', 5)).toBe('\0\x03\0\0\0\0\0\x02_pq_.foo\0_pq_.bar\0');
  });
});

/** Null: refused. */
function settingsOf(text: string): ReadonlyMap<string, string> | null {
  const settings = readOptions(text);
  return settings instanceof SqlError ? null : settings;
}

describe('options of the startup message', () => {
  test.each<[string, Record<string, string>]>([
    ['', {}],
    ['   ', {}],
    ['-c a=b', { a: 'b' }],
    ['-ca=b', { a: 'b' }],
    ['--a=b', { a: 'b' }],
    [' -c  a=b\t--c=d\n-ce=f ', { a: 'b', c: 'd', e: 'f' }],
    ['-c a=b=c', { a: 'b=c' }],
    ['-c a=', { a: '' }],
    ['-c A-b=C-d', { a_b: 'C-d' }],
    ['--statement-timeout=5s', { statement_timeout: '5s' }],
    ['-c search_path=a\\ b,c\\\\d', { search_path: 'a b,c\\d' }],
    ['-c a=b\\', { a: 'b' }],
    ['-c a=\u00a0b', { a: '\u00a0b' }],
    ['-c a=1 -c a=2', { a: '2' }],
  ])('%j', (text, settings) => {
    expect(Object.fromEntries(settingsOf(text) ?? [['refused', 'yes']])).toEqual(settings);
  });

  test.each([
    '-c',
    '-c=',
    '-c =',
    '-c =b',
    '--',
    '--=b',
    '-',
    'a=b',
    '-d 5',
    '-c a',
    '-B 16 -c a=b',
  ])('%j is refused, and does not spin', (text) => {
    expect(readOptions(text)).toMatchObject({ code: expect.stringMatching(/^(42601|42704)$/) });
  });

  test('any text ends', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('-', 'c', '=', ' ', '\\', 'a') }), (text) => {
        for (const name of settingsOf(text)?.keys() ?? ['x']) expect(name).not.toBe('');
      }),
    );
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { makeMd5Vindex } from '../../../src/vindex/md5.js';
import { makeUnicodeLooseVindex } from '../../../src/vindex/unicode-loose.js';
import { makeXxhashVindex } from '../../../src/vindex/xxhash.js';
import { mapBytes, mapHex, mapText } from './mapping.js';

type TypeName = keyof typeof TypeOid;
const hex = (id: bigint | string): string =>
  typeof id === 'string' ? id : BigInt.asUintN(64, id).toString(16).padStart(16, '0');

describe('xxhash', () => {
  const xxhash = makeXxhashVindex('x');
  const map = (type: TypeName, text: string): string =>
    hex(mapText(xxhash.mapper(TypeOid[type], TypeOid.unknown)!, text));

  // Vectors of Vitess's own vindex of this name.
  test.each<[TypeName, string, string]>([
    ['text', 'test1', 'd01ab7e4d6978f0b'],
    ['text', 'test2', '87eb11714c0a0e89'],
    ['varchar', 'testaverylongvaluetomakesurethisworks', '81d8c38e0d850e6a'],
    ['text', '', '99e9d85137db46ef'],
    ['int4', '1', 'd46405367612b4b7'],
    ['int8', '-1', 'd8e2a6a7c8c7623d'],
    ['int8', '9223372036854775807', 'b37eb01f7bffafd8'],
    ['int8', '-9223372036854775808', '102c27ddb26a609e'],
  ])('%s %s is where Vitess puts it', (type, text, id) => {
    expect(map(type, text)).toBe(id);
  });

  test.each([0, 1, 3, 4, 7, 8, 31, 32, 33, 63, 64, 100])(
    'text and binary format of %i bytes are one key',
    (length) => {
      const bytes = Buffer.from(Array.from({ length }, (_unused, index) => (index * 37) & 255));
      const mapper = xxhash.mapper(TypeOid.bytea, TypeOid.bytea)!;
      const text = mapText(mapper, `\\x${bytes.toString('hex')}`);
      expect(mapBytes(mapper, 'binary', bytes)).toBe(text);
    },
  );

  test('spellings of one value are one key', () => {
    expect(map('int8', ' +1_0 ')).toBe(map('int2', '10'));
    expect(hex(mapText(xxhash.mapper(TypeOid.int8, TypeOid.numeric)!, '1e1'))).toBe(
      map('int8', '10'),
    );
    expect(map('uuid', '{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}')).toBe(
      map('text', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    );
    expect(hex(mapHex(xxhash.mapper(TypeOid.int4, TypeOid.int4)!, 'fffffff6'))).toBe(
      map('text', '-10'),
    );
  });
});

describe('md5', () => {
  const md5 = makeMd5Vindex('m');
  const map = (type: TypeName, text: string): string =>
    hex(mapText(md5.mapper(TypeOid[type], TypeOid.unknown)!, text));
  const expected = (text: string | Buffer): string =>
    createHash('md5').update(text).digest('hex').slice(0, 16);

  test('is the beginning of the digest, whatever the length', () => {
    const mapper = md5.mapper(TypeOid.bytea, TypeOid.bytea)!;
    for (let length = 0; length < 200; length++) {
      const bytes = randomBytes(length);
      expect([length, hex(mapBytes(mapper, 'binary', bytes))]).toEqual([length, expected(bytes)]);
    }
  });

  test.each<[TypeName, string]>([
    ['text', 'Test'],
    ['int4', '0'],
    ['int8', '-9223372036854775808'],
    ['int8', '1000000000000000000'],
    ['int8', '-1000000000'],
    ['int8', '999999999'],
    ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ])('%s %s is digested as its text', (type, text) => {
    expect(map(type, text)).toBe(expected(text));
  });
});

describe('unicode_loose', () => {
  const loose = makeUnicodeLooseVindex('u');
  const map = (text: string): bigint | string =>
    mapText(loose.mapper(TypeOid.text, TypeOid.text)!, text);

  test.each([
    ['Müller', 'MULLER'],
    ['Müller', 'Mu\u0308ller'],
    ['Ångström', 'angstrom  '],
    ['Σίσυφος', 'ΣΙΣΥΦΟΣ'],
    ['Ёлка', 'елка'],
    ['é'.repeat(2000), 'E'.repeat(2000)],
    ['ABC XYZ@[`{ ', 'abc xyz@[`{'],
    ['A'.repeat(1025), 'a'.repeat(1025)],
  ])('%s and %s live together', (a, b) => {
    expect(map(a)).toBe(map(b));
  });

  test.each([
    ['muller', 'mueller'],
    ['a b', 'ab'],
    [' a', 'a'],
    ['日本', '日'],
  ])('%s and %s are different keys', (a, b) => {
    expect(map(a)).not.toBe(map(b));
  });

  test('other scripts are left as they are, in case a later Unicode says more of them', () => {
    const xxhash = makeXxhashVindex('x').mapper(TypeOid.text, TypeOid.text)!;
    for (const text of ['日本', 'ｱ', 'Ａ', '𐐀', 'Ა']) expect(map(text)).toBe(mapText(xxhash, text));
  });

  test('only text has a case', () => {
    expect(loose.refusal(TypeOid.varchar)).toBeNull();
    expect(loose.refusal(TypeOid.int8)).toBe(
      'vindex type "unicode_loose" here takes keys of type text, varchar, character(n)',
    );
  });
});

import { describe, expect, test } from 'vitest';
import { FIRST_USER_OID, TypeOid } from '../../../src/keyspace/type-oids.js';
import { makeHashVindex } from '../../../src/vindex/hash.js';
import { mapBytes, mapHex, mapText } from './mapping.js';

const hash = makeHashVindex('by_key');
type TypeName = keyof typeof TypeOid;

function map(column: TypeName, input: TypeName, text: string, typmod = -1): bigint | string {
  return mapText(hash.mapper(TypeOid[column], TypeOid[input], typmod)!, text);
}

describe('which values are compared with which columns', () => {
  const ints: TypeName[] = ['int2', 'int4', 'int8', 'numeric', 'unknown'];
  const accepted: Partial<Record<TypeName, TypeName[]>> = {
    int2: ints,
    int4: ints,
    int8: ints,
    numeric: ints,
    text: ['text', 'varchar', 'bpchar', 'unknown'],
    varchar: ['text', 'varchar', 'bpchar', 'unknown'],
    bpchar: ['text', 'varchar', 'bpchar', 'unknown'],
    uuid: ['uuid', 'unknown'],
    bytea: ['bytea', 'unknown'],
    date: ['date', 'unknown'],
    timestamp: ['timestamp', 'unknown'],
    timestamptz: ['timestamptz', 'unknown'],
    bool: ['bool', 'unknown'],
  };
  const names = Object.keys(TypeOid) as TypeName[];

  test.each(names)('%s columns', (column) => {
    const inputs = names.filter((input) => hash.mapper(TypeOid[column], TypeOid[input]) !== null);
    expect(inputs.sort()).toEqual((accepted[column] ?? []).toSorted());
  });

  test.each(names)(
    '%s: a refusal exactly where there is neither mapper nor expression',
    (column) => {
      const refused = accepted[column] === undefined;
      expect(hash.refusal(TypeOid[column]) !== null).toBe(refused);
      expect(hash.sqlExpression('"k"', TypeOid[column]) === null).toBe(refused);
    },
  );

  test.each<[string, number, RegExp]>([
    ['float8', TypeOid.float8, /floating point/],
    ['jsonb', TypeOid.jsonb, /documents/],
    ['interval', TypeOid.interval, /several spellings/],
    ['int8[]', 1016, /key types are smallint, integer/],
    ['an enum', FIRST_USER_OID + 5, /made in the database/],
  ])('refusing %s says why', (_name, type, reason) => {
    expect(hash.refusal(type)).toMatch(reason);
  });
});

describe('int columns', () => {
  test('an untyped literal is read as the column reads it', () => {
    expect(map('int2', 'unknown', '32768')).toBe('invalid');
    expect(map('int4', 'unknown', '32768')).toBe(map('int8', 'int8', '32768'));
    expect(map('int4', 'unknown', '2147483648')).toBe('invalid');
    expect(map('int8', 'unknown', '9223372036854775808')).toBe('invalid');
  });

  test("a value beyond the column's range is hashed: it finds nothing anywhere", () => {
    expect(map('int2', 'int8', '5000000000')).toBe(map('int8', 'int8', '5000000000'));
  });

  test('an untyped binary parameter has the size of the column', () => {
    const int4 = hash.mapper(TypeOid.int4, TypeOid.unknown)!;
    expect(mapHex(int4, 'fffffffb')).toBe(map('int8', 'int8', '-5'));
    expect(mapHex(int4, 'fffffffffffffffb')).toBe('invalid');
  });

  test('whole numerics are ints, whatever their spelling', () => {
    for (const text of ['5000', '5000.0', '5e3', '0.5e4', '5000000e-3', ' +5_000.00 ', '0x1388']) {
      expect([text, map('int8', 'numeric', text)]).toEqual([text, map('int8', 'int8', '5000')]);
    }
    expect(map('int8', 'numeric', '-0.0')).toBe(map('int8', 'int8', '0'));
    for (const text of ['9223372036854775807', '-9223372036854775808']) {
      expect(map('int8', 'numeric', `${text}.000`)).toBe(map('int8', 'int8', text));
    }
  });

  test.each([
    '5.5',
    '0.0001',
    '1e-4',
    'NaN',
    'Infinity',
    '-Infinity',
    '9223372036854775808',
    '-9223372036854775809',
    '1e19',
    '1e131071',
    '18446744073709551616',
    '99999999999999999999',
  ])('numeric %s equals no int', (text) => {
    expect(map('int8', 'numeric', text)).toBe('no match');
  });

  test('numeric parameters in binary format', () => {
    const mapper = hash.mapper(TypeOid.int4, TypeOid.numeric)!;
    // ndigits, weight, sign, dscale, digits in base 10000
    expect(mapHex(mapper, '0001 0000 0000 0000 0005'.replaceAll(' ', ''))).toBe(
      map('int8', 'int8', '5'),
    );
    expect(mapHex(mapper, '0001 0001 4000 0000 0005'.replaceAll(' ', ''))).toBe(
      map('int8', 'int8', '-50000'),
    );
    expect(mapHex(mapper, '0002 0000 0000 0001 0005 1388'.replaceAll(' ', ''))).toBe('no match');
    // dscale 0 hides the 0.5, and numeric_recv drops what is hidden.
    expect(mapHex(mapper, '0002 0000 0000 0000 0005 1388'.replaceAll(' ', ''))).toBe(
      map('int8', 'int8', '5'),
    );
    expect(mapHex(mapper, '0000 0000 c000 0000'.replaceAll(' ', ''))).toBe('no match');
    expect(mapHex(mapper, '0000 7fff 0000 0000'.replaceAll(' ', ''))).toBe(
      map('int8', 'int8', '0'),
    );
  });

  test.each([
    ['a digit beyond 9999', '0001000000000000 2710'],
    ['an unknown sign', '0000000012340000'],
    ['a scale beyond 16383', '0000000000004000'],
    ['fewer digits than announced', '0002000000000000 0005'],
    ['more bytes than announced', '0000000000000000 00'],
    ['a cut header', '00000000'],
  ])('binary numeric with %s is invalid', (_name, hex) => {
    expect(mapHex(hash.mapper(TypeOid.int8, TypeOid.numeric)!, hex.replaceAll(' ', ''))).toBe(
      'invalid',
    );
  });
});

describe('columns that would store a value changed', () => {
  test('varchar(n): longer values equal nothing stored, but for blanks, which are cut; characters count', () => {
    const varchar3 = 3 + 4;
    expect(map('varchar', 'text', 'äß€', varchar3)).toBe(map('text', 'text', 'äß€'));
    expect(map('varchar', 'text', 'abcd', varchar3)).toBe('no match');
    expect(map('varchar', 'text', 'abc d', varchar3)).toBe('no match');
    expect(map('varchar', 'text', 'abc  ', varchar3)).toBe(map('text', 'text', 'abc'));
    expect(map('varchar', 'text', 'ab  ', varchar3)).toBe(map('text', 'text', 'ab '));
  });

  test('character(n): blanks at the end do not count', () => {
    const char3 = 3 + 4;
    expect(map('bpchar', 'unknown', 'a', char3)).toBe(map('text', 'text', 'a'));
    expect(map('bpchar', 'bpchar', 'a    ', char3)).toBe(map('text', 'text', 'a'));
    expect(map('bpchar', 'unknown', '   ', char3)).toBe(map('text', 'text', ''));
    expect(map('bpchar', 'unknown', ' a ', char3)).toBe(map('text', 'text', ' a'));
    expect(map('bpchar', 'unknown', 'abcd', char3)).toBe('no match');
    expect(map('text', 'bpchar', 'a ')).toBe(map('text', 'text', 'a'));
  });

  test('numeric(p,s): digits behind the scale', () => {
    const numeric102 = ((10 << 16) | 2) + 4;
    expect(map('numeric', 'numeric', '5.250', numeric102)).toBe(map('numeric', 'numeric', '5.25'));
    expect(map('numeric', 'numeric', '5.251', numeric102)).toBe('no match');
    expect(map('numeric', 'numeric', 'NaN', numeric102)).toBe(map('numeric', 'numeric', 'NaN'));
  });

  test('numeric(3,-2): a negative scale rounds before the point', () => {
    const typmod = ((3 << 16) | (-2 & 0x7ff)) + 4;
    expect(map('numeric', 'int4', '1200', typmod)).toBe(map('numeric', 'numeric', '1200'));
    expect(map('numeric', 'int4', '1250', typmod)).toBe('no match');
  });

  test('timestamp(p): digits behind the precision, also before the epoch', () => {
    expect(map('timestamp', 'unknown', '1999-01-01 00:00:00.120', 2)).toBe(
      map('timestamp', 'unknown', '1999-01-01 00:00:00.12'),
    );
    expect(map('timestamp', 'unknown', '1999-01-01 00:00:00.125', 2)).toBe('no match');
    expect(map('timestamptz', 'unknown', '2024-01-01 00:00:00.5Z', 0)).toBe('no match');
    expect(map('timestamp', 'unknown', 'infinity', 0)).toBe(
      map('timestamp', 'unknown', 'infinity'),
    );
    expect(map('timestamp', 'unknown', '-infinity', 0)).toBe(
      map('timestamp', 'unknown', '-infinity'),
    );
  });
});

describe('text', () => {
  const mapper = hash.mapper(TypeOid.text, TypeOid.text)!;

  test.each([
    ['a NUL byte', '610062'],
    ['a lone continuation byte', '80'],
    ['an overlong slash', 'c0af'],
    ['an overlong three-byte form', 'e09fbf'],
    ['a surrogate', 'eda080'],
    ['an overlong four-byte form', 'f08fbfbf'],
    ['a character above U+10FFFF', 'f4908080'],
    ['a lead byte of five-byte forms', 'f888808080'],
    ['a cut character', '61e282'],
    ['a lead byte behind a lead byte', 'c3c3a9'],
    ['a NUL byte behind a long character', 'c3a900'],
  ])('%s is invalid in both formats', (_name, hex) => {
    expect(mapBytes(mapper, 'text', Buffer.from(hex, 'hex'))).toBe('invalid');
    expect(mapHex(mapper, hex)).toBe('invalid');
  });

  test.each(['c280', 'dfbf', 'e0a080', 'ed9fbf', 'ee8080', 'f0908080', 'f48fbfbf'])(
    'the first and last characters of each length are valid: %s',
    (hex) => {
      expect(mapHex(mapper, hex)).toBeTypeOf('bigint');
    },
  );
});

describe('bytea', () => {
  test('binary format takes every byte, NUL included', () => {
    const mapper = hash.mapper(TypeOid.bytea, TypeOid.bytea)!;
    expect(mapHex(mapper, '00ff80')).toBe(mapText(mapper, '\\x00ff80'));
    expect(mapText(mapper, '\\000\\377\\200')).toBe(mapText(mapper, '\\x00ff80'));
  });

  test('values larger than the shared buffer', () => {
    const mapper = hash.mapper(TypeOid.bytea, TypeOid.bytea)!;
    const hex = 'ab'.repeat(100_000);
    expect(mapText(mapper, `\\x${hex}`)).toBe(mapHex(mapper, hex));
  });
});

describe('text whose meaning hangs on settings is left unread', () => {
  test.each<[TypeName, string]>([
    ['date', '01/02/2024'],
    ['date', '2024-01-02 10:00:00'],
    ['date', 'today'],
    ['date', '0044-03-15 BC'],
    ['timestamp', '2024-01-02 10:00:00+02'],
    ['timestamp', 'now'],
    ['timestamptz', '2024-01-02 10:00:00'],
    ['timestamptz', '2024-01-02'],
    ['timestamptz', '2024-01-02 10:00:00 CET'],
    ['timestamptz', '2024-01-02 10:00:00.1234567Z'],
    ['timestamptz', '2024-01-02 10:00'],
    ['timestamptz', '2024-01-02 10:00.5Z'],
  ])('%s %s', (type, text) => {
    expect(map(type, 'unknown', text)).toBe('unreadable');
  });

  test('ISO 8601 with offset is the same moment in every zone', () => {
    const id = map('timestamptz', 'unknown', '2024-01-02T10:00:00Z');
    for (const text of [
      '2024-01-02 12:00:00+02',
      '2024-01-02 12:00:00 +02',
      '2024-01-02 10:00Z',
      '2024-01-02T04:30 -0530',
      '2024-01-02T04:30:00.000-0530',
      '2024-01-01 23:00:00-11:00',
    ]) {
      expect([text, map('timestamptz', 'unknown', text)]).toEqual([text, id]);
    }
  });
});

test('a mapper is made once per pair of types', () => {
  expect(hash.mapper(TypeOid.int8, TypeOid.int4)).toBe(hash.mapper(TypeOid.int8, TypeOid.int4));
  expect(hash.mapper(TypeOid.varchar, TypeOid.text, 7)).not.toBe(
    hash.mapper(TypeOid.varchar, TypeOid.text, 8),
  );
});

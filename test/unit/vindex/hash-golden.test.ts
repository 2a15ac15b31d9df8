import { describe, expect, test } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import type { KeyMapper } from '../../../src/keyspace/vindex.js';
import { makeHashVindex } from '../../../src/vindex/hash.js';
import { goldenTypes, goldenVectors, type GoldenType } from './golden-vectors.js';
import { mapHex, mapText } from './mapping.js';

const hash = makeHashVindex('by_key');

function ownMapper(type: GoldenType): KeyMapper {
  return hash.mapper(TypeOid[type], TypeOid[type])!;
}

describe.each(goldenTypes)('%s hashes as the server hashed it', (type) => {
  const { canonical, spellings } = goldenVectors(type);
  const mapper = ownMapper(type);

  test('every value, in text and in binary format', () => {
    for (const [text, id, binary] of canonical) {
      expect([text, mapText(mapper, text)]).toEqual([text, BigInt(id)]);
      expect([binary, mapHex(mapper, binary)]).toEqual([binary, BigInt(id)]);
    }
  });

  test('odd spellings: the same id, or refused where the server refuses', () => {
    for (const [text, id] of spellings) {
      const mapped = mapText(mapper, text);
      // Where the proxy does not interpret a text, any answer of the server is fine.
      if (mapped === 'unreadable') continue;
      expect([text, mapped]).toEqual([text, id === null ? 'invalid' : BigInt(id)]);
    }
  });
});

test('only dates, times and numerics that versions read differently are left unread', () => {
  const others = goldenTypes.flatMap((type) =>
    goldenVectors(type)
      .spellings.filter(([text]) => mapText(ownMapper(type), text) === 'unreadable')
      .filter(([text]) => !/^(date|timestamp)/.test(type) && !/^\s*[-+]?0[xob]|e\s/i.test(text)),
  );
  expect(others).toEqual([]);
});

test('every id of a small column type is the id of the larger types', () => {
  for (const [text, id] of goldenVectors('int2').canonical) {
    for (const column of [TypeOid.int2, TypeOid.int4, TypeOid.int8]) {
      for (const input of [TypeOid.int2, TypeOid.int4, TypeOid.int8, TypeOid.numeric]) {
        expect(mapText(hash.mapper(column, input)!, text)).toBe(BigInt(id));
      }
    }
  }
});

test('ints against a numeric column hash as numerics', () => {
  const numerics = new Map(goldenVectors('numeric').canonical.map(([text, id]) => [text, id]));
  const mapper = hash.mapper(TypeOid.numeric, TypeOid.int8)!;
  let compared = 0;
  for (const [text, , binary] of goldenVectors('int8').canonical) {
    const id = numerics.get(text);
    if (id === undefined) continue;
    compared++;
    expect([text, mapText(mapper, text)]).toEqual([text, BigInt(id)]);
    expect([text, mapHex(mapper, binary)]).toEqual([text, BigInt(id)]);
  }
  expect(compared).toBeGreaterThan(50);
});

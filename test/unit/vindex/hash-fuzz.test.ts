import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyspaceIdCell } from '../../../src/keyspace/keyspace-id.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { INVALID, MAPPED, NO_MATCH, UNREADABLE } from '../../../src/keyspace/vindex.js';
import { makeHashVindex } from '../../../src/vindex/hash.js';
import { goldenTypes, goldenVectors } from './golden-vectors.js';
import { mapText } from './mapping.js';

/**
 * Goal: a mapper answers whatever bytes a client sends, looks at no byte outside the value, and an
 * id is always two unsigned halves. Method: random bytes, and golden texts with a few bytes changed
 * (fast-check prints the seed).
 */

const hash = makeHashVindex('fuzzed');
const notMapped = new Set<number>([NO_MATCH, INVALID, UNREADABLE]);
const oids = Object.values(TypeOid);
const pairs = oids.flatMap((column) =>
  oids.flatMap((input) =>
    [-1, 0, 3, 6, 7, ((10 << 16) | 2) + 4].flatMap(
      (typmod) => hash.mapper(column, input, typmod) ?? [],
    ),
  ),
);
const texts = goldenTypes.flatMap((type) => {
  const { canonical, spellings } = goldenVectors(type);
  return [...canonical, ...spellings].map(([text]) => text).filter((text) => text.length < 200);
});

const mutated = fc
  .tuple(fc.constantFrom(...texts), fc.array(fc.tuple(fc.nat(250), fc.nat(255)), { maxLength: 3 }))
  .map(([text, changes]) => {
    const bytes = Buffer.from(text);
    for (const [at, byte] of changes) {
      if (at < bytes.length) bytes[at] = byte;
    }
    return Uint8Array.from(bytes);
  });
const anyBytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), mutated);

describe.each(['text', 'binary'] as const)('%s format', (format) => {
  test('every mapper is total and blind to its surroundings', () => {
    fc.assert(
      fc.property(anyBytes, fc.uint8Array({ maxLength: 4 }), (value, around) => {
        const message = Buffer.concat([around, value, around]);
        const alone = new KeyspaceIdCell();
        const within = new KeyspaceIdCell();
        const end = around.length + value.length;
        // One expect per value: two hundred mappers times three expects would take most of the
        // time.
        const faulty = pairs.filter((mapper) => {
          const outcome = mapper[format](value, 0, value.length, alone);
          if (mapper[format](message, around.length, end, within) !== outcome) return true;
          if (outcome !== MAPPED) return !notMapped.has(outcome);
          const unsigned = alone.hi >>> 0 === alone.hi && alone.lo >>> 0 === alone.lo;
          return !unsigned || within.hi !== alone.hi || within.lo !== alone.lo;
        });
        expect(faulty).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });
});

test('property: an int8 maps alike as int8, as numeric and in numeric notation', () => {
  const int8 = hash.mapper(TypeOid.int8, TypeOid.int8)!;
  const numeric = hash.mapper(TypeOid.int8, TypeOid.numeric)!;
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.nat(25),
      (value, zeros) => {
        const id = mapText(int8, String(value));
        expect(id).toBeTypeOf('bigint');
        expect(mapText(numeric, String(value))).toBe(id);
        expect(mapText(numeric, `${value}.${'0'.repeat(zeros)}`)).toBe(id);
        expect(mapText(numeric, `${value}${'0'.repeat(zeros)}e-${zeros}`)).toBe(id);
      },
    ),
  );
});

test('property: equal numerics have equal ids, whatever their spelling', () => {
  const mapper = hash.mapper(TypeOid.numeric, TypeOid.numeric)!;
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 10n ** 40n }),
      fc.integer({ min: -30, max: 30 }),
      fc.nat(20),
      (digits, exponent, shift) => {
        const id = mapText(mapper, `${digits}e${exponent}`);
        expect(mapText(mapper, `000${digits}${'0'.repeat(shift)}e${exponent - shift}`)).toBe(id);
        expect(
          mapText(
            mapper,
            `0.${'0'.repeat(shift)}${digits}e${exponent + String(digits).length + shift}`,
          ),
        ).toBe(id);
      },
    ),
  );
});

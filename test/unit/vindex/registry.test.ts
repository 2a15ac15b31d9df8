import { expect, test } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { makeVindex, vindexTypes } from '../../../src/vindex/registry.js';

test.each(Object.keys(vindexTypes))(
  'type %s makes a frozen vindex of that name and type',
  (type) => {
    const result = makeVindex(type, 'by_customer', {});
    expect(result.ok && result.vindex).toMatchObject({ name: 'by_customer', type });
    expect(result.ok && Object.isFrozen(result.vindex)).toBe(true);
  },
);

// Names of Object.prototype would be found by a plain lookup.
test.each(['lookup', 'Hash', '', 'constructor', '__proto__', 'toString'])(
  'unknown type %j is a problem that names the known types',
  (type) => {
    expect(makeVindex(type, 'by_customer', {})).toEqual({
      ok: false,
      problems: [
        {
          message: `unknown vindex type "${type}" of vindex "by_customer"`,
          hint: `the types are: ${Object.keys(vindexTypes).join(', ')}`,
          option: null,
        },
      ],
    });
  },
);

test('every unknown option is a problem of its own', () => {
  const result = makeVindex('hash', 'h', { columns: 2, seed: 7 });
  expect(result.ok || result.problems.map((problem) => problem.option)).toEqual([
    'columns',
    'seed',
  ]);
  expect(result.ok || result.problems[0]).toMatchObject({
    message: 'vindex "h" of type "hash" has no option "columns"',
    hint: 'type "hash" has no options: remove it',
  });
});

test('options may be left out', () => {
  const result = makeVindex('hash', 'h');
  expect(result.ok && result.vindex.refusal(TypeOid.int8)).toBeNull();
});

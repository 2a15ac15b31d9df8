import { describe, expect, test } from 'vitest';
import { OidMap } from '../../../../src/backend/oids/oid-map.js';
import { serverOidsOf } from '../../../../src/backend/oids/server-oids.js';

/** Rows as a server gives them: kind, schema, name, is array, OID. */
function oids(...rows: readonly string[]): ReturnType<typeof serverOidsOf> {
  return serverOidsOf(rows.map((row) => row.split(' ')));
}

const catalog = oids(
  't public mood f 20001',
  't public mood t 20002',
  't other mood f 20003',
  't public moods f 20004',
  't public only_here f 20005',
  'r public people f 20001',
);

describe('a map of OIDs', () => {
  test('is not needed where all names have the same ones', () => {
    expect(OidMap.between(catalog, catalog)).toBeNull();
    // What only one of them has makes no difference.
    expect(OidMap.between(catalog, oids('t public mood f 20001'))).toBeNull();
    expect(OidMap.between(catalog, oids('t public dummy f 20001'))).toBeNull();
    expect(OidMap.between(oids(), oids())).toBeNull();
  });

  test('goes by schema and name, both ways, also where OIDs are exchanged', () => {
    const map = OidMap.between(
      catalog,
      oids('t public mood f 20003', 't other mood f 20001', 't public mood t 30000'),
    )!;
    expect([20003, 20001, 30000].map((oid) => map.catalogType(oid))).toEqual([20001, 20003, 20002]);
    expect([20001, 20003, 20002].map((oid) => map.shardType(oid))).toEqual([20003, 20001, 30000]);
  });

  test('tells an array type from a type of the same letters', () => {
    const map = OidMap.between(
      oids('t public mood f 1', 't public mood t 2'),
      oids('t public mood t 1', 't public mood f 2'),
    )!;
    expect(map.shardType(1)).toBe(2);
    expect(map.shardType(2)).toBe(1);
  });

  test('leaves what it does not know as it is', () => {
    const map = OidMap.between(catalog, oids('t public mood f 30000'))!;
    expect([20004, 20005, 25, 0].map((oid) => map.shardType(oid))).toEqual([20004, 20005, 25, 0]);
    expect([40000, 25].map((oid) => map.catalogType(oid))).toEqual([40000, 25]);
  });

  test('keeps types and relations of one OID apart', () => {
    const map = OidMap.between(catalog, oids('r public people f 30000'))!;
    expect(map.catalogRelation(30000)).toBe(20001);
    expect(map.catalogType(30000)).toBe(30000);
  });

  test('is equal to one that says the same', () => {
    const shard = oids('t public mood f 30000', 'r public people f 30001');
    const map = OidMap.between(catalog, shard)!;
    expect(map.equals(OidMap.between(catalog, shard))).toBe(true);
    expect(map.equals(null)).toBe(false);
    const moved = oids('t public mood f 30000', 'r public people f 30002');
    expect(map.equals(OidMap.between(catalog, moved))).toBe(false);
    expect(map.equals(OidMap.between(catalog, oids('t public mood f 30000')))).toBe(false);
  });
});

import type { Container, ServerOids } from './server-oids.js';

/** Rows without a name, and arrays of them (pg_type.dat): what is in them may be of users' types. */
export const RECORD = 2249;
export const RECORD_ARRAY = 2287;

/**
 * How one shard's OIDs of users' types and relations differ from those of the catalog shard, which
 * are the only ones that clients see and send. What only one of the two has keeps its OID.
 *
 *   client  <-- catalogType, catalogRelation -- shard
 *   client  --         shardType            --> shard
 *
 * Values have OIDs in them too where arrays and composites are in binary format (row-values.ts). Those
 * that a shard gets need no mapping: array_recv and record_recv look at the OIDs of built-in types only.
 */
export class OidMap {
  private readonly typesOut: ReadonlyMap<number, number>;
  private readonly typesIn: ReadonlyMap<number, number>;
  private readonly relationsOut: ReadonlyMap<number, number>;
  private readonly containers: ReadonlyMap<number, Container>;

  private constructor(catalog: ServerOids, shard: ServerOids) {
    this.typesOut = differences(shard.types, catalog.types);
    this.typesIn = differences(catalog.types, shard.types);
    this.relationsOut = differences(shard.relations, catalog.relations);
    this.containers = shard.containers;
  }

  /** Null: nothing differs. */
  static between(catalog: ServerOids, shard: ServerOids): OidMap | null {
    const map = new OidMap(catalog, shard);
    return map.typesOut.size === 0 && map.relationsOut.size === 0 ? null : map;
  }

  /** What the catalog shard calls the shard's type. */
  catalogType(oid: number): number {
    return this.typesOut.get(oid) ?? oid;
  }

  /** What the shard calls the catalog shard's type. */
  shardType(oid: number): number {
    return this.typesIn.get(oid) ?? oid;
  }

  /** What the catalog shard calls the shard's table or view. */
  catalogRelation(oid: number): number {
    return this.relationsOut.get(oid) ?? oid;
  }

  /** How binary values of the shard's type hold others; null: they hold none of users' types. */
  containerOf(shardType: number): Container | null {
    if (shardType === RECORD) return 'row';
    if (shardType === RECORD_ARRAY) return 'array';
    return this.containers.get(shardType) ?? null;
  }

  equals(other: OidMap | null): boolean {
    return (
      other !== null &&
      sameEntries(this.typesOut, other.typesOut) &&
      sameEntries(this.relationsOut, other.relationsOut)
    );
  }
}

/** From the first's OIDs to the second's, where a name has different ones. */
function differences(
  from: ReadonlyMap<string, number>,
  to: ReadonlyMap<string, number>,
): Map<number, number> {
  const out = new Map<number, number>();
  for (const [name, oid] of from) {
    const other = to.get(name);
    if (other !== undefined && other !== oid) out.set(oid, other);
  }
  return out;
}

function sameEntries(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

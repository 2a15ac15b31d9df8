import type { Keyspace } from '../../keyspace/topology.js';

/** Of an int8, so that unsigned keyspace ids sort as signed numbers. */
const SIGN_BIT = '-9223372036854775808';

/**
 * The place, among the keyspace's shards, of the one that owns a keyspace id, as SQL (int4); that of
 * the first one for NULL.
 * @param id the keyspace id as SQL (bigint, signed)
 */
export function placeSql(id: string, { shards }: Keyspace): string {
  const starts = shards
    .flatMap(({ ranges }, place) => ranges.map(({ from }) => ({ from: signed(from), place })))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
  const places = starts.map(({ place }) => place).join(',');
  const bounds = starts.slice(1).map(({ from }) => from);
  const flipped = `(${id}) OPERATOR(pg_catalog.#) '${SIGN_BIT}'::pg_catalog.int8`;
  return (
    `COALESCE(('{${places}}'::pg_catalog.int4[])` +
    `[1 + pg_catalog.width_bucket(${flipped}, '{${bounds.join(',')}}'::pg_catalog.int8[])], 0)`
  );
}

function signed({ hi, lo }: { readonly hi: number; readonly lo: number }): bigint {
  return (BigInt(hi) << 32n) + BigInt(lo) - (1n << 63n);
}

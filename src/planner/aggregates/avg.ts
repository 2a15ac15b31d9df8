import { TypeOid } from '../../keyspace/type-oids.js';
import { callOf, type CombinableAggregate } from './aggregate.js';

/**
 * avg is the sum divided by the count, in numeric for integers and numerics, so that digits and
 * display scale come out of the same division (PostgreSQL 18, numeric.c numeric_avg). Not for
 * float4: its sum is a float4, and avg adds up in float8.
 */
export const avg: CombinableAggregate = {
  partials: (call) => [callOf('sum', call), callOf('count', call)],
  combine([sums, counts], [type]) {
    const total = `pg_catalog.sum(${sums!})`;
    const count = `nullif(pg_catalog.sum(${counts!}), 0)`;
    switch (type) {
      case TypeOid.int8:
      case TypeOid.numeric:
        return `${total} / ${count}`;
      case TypeOid.float8:
      case TypeOid.interval:
        return `${total} / ${count}::pg_catalog.float8`;
      default:
        return null;
    }
  },
};

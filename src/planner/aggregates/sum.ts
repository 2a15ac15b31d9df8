import { TypeOid } from '../../keyspace/type-oids.js';
import { callOf, type CombinableAggregate } from './aggregate.js';

/** Sums of int2 and int4 are int8, and of int8 numeric, so a sum of int8 results is cast back. */
export const sum: CombinableAggregate = {
  partials: (call) => [callOf('sum', call)],
  combine([column], [type]) {
    const total = `pg_catalog.sum(${column!})`;
    return type === TypeOid.int8 ? `${total}::pg_catalog.int8` : total;
  },
};

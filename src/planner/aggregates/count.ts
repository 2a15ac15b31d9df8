import { callOf, type CombinableAggregate } from './aggregate.js';

/** Without GROUP BY a server that is asked for no rows at all still counts 0. */
export const count: CombinableAggregate = {
  partials: (call) => [callOf('count', call)],
  combine: ([column]) => `coalesce(pg_catalog.sum(${column!}), 0)::pg_catalog.int8`,
};

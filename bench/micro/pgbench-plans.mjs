// @ts-check
import { fileURLToPath } from 'node:url';
import { fromDist } from '../lib/from-dist.mjs';

const INT4_OID = 23;
const BPCHAR_OID = 1042;
const configFile = fileURLToPath(new URL('../../config/pgbench.yaml', import.meta.url));

/** A planner for pgbench's accounts over four shards, without any server. */
export async function pgbenchPlanner() {
  const { loadConfig } = /** @type {typeof import('../../src/config/load.js')} */ (
    await fromDist('config/load.js')
  );
  const { Planner } = /** @type {typeof import('../../src/planner/planner.js')} */ (
    await fromDist('planner/planner.js')
  );
  const { Parser } = /** @type {typeof import('../../src/sql/parser.js')} */ (
    await fromDist('sql/parser.js')
  );
  const { topology } = await loadConfig(configFile);
  return new Planner(await Parser.create(), topology, catalog());
}

/** @returns {import('../../src/keyspace/catalog.js').Catalog} */
function catalog() {
  const column = (/** @type {string} */ name, /** @type {number} */ type) => ({
    name,
    type,
    deterministicCollation: true,
    notNull: false,
    hasDefault: false,
    generated: false,
    identity: /** @type {const} */ (''),
  });
  return {
    version: 1,
    relations: new Map([
      [
        'public.pgbench_accounts',
        {
          schema: 'public',
          name: 'pgbench_accounts',
          kind: 'r',
          hasTriggersOrRules: false,
          parent: null,
          columns: [
            column('aid', INT4_OID),
            column('bid', INT4_OID),
            column('abalance', INT4_OID),
            column('filler', BPCHAR_OID),
          ],
        },
      ],
    ]),
    functions: new Map(),
    operators: new Set(),
    volatileBuiltins: new Set(),
    aggregates: new Set(),
    windowFunctions: new Set(),
    setReturning: new Set(),
    types: new Map(),
  };
}

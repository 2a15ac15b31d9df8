import { TypeOid } from '../../../src/keyspace/type-oids.js';
import type {
  Catalog,
  CatalogColumn,
  CatalogFunction,
  CatalogRelation,
} from '../../../src/keyspace/catalog.js';
import { parseKeyRange } from '../../../src/keyspace/key-range.js';
import { makeTopology, type TableSpec } from '../../../src/keyspace/topology-builder.js';
import type { Topology } from '../../../src/keyspace/topology.js';
import { makeHashVindex } from '../../../src/vindex/hash.js';

/*
 * The cluster that planner tests speak of:
 *
 *   main  (unsharded, default)  settings, order_id_seq, and whatever the configuration does not name
 *   shop  (s0..s3)              customers by id, orders and order_items by customer_id, logins by name (text),
 *                               devices by uid (uuid), prices by amount (numeric), countries, currencies (reference)
 *   stats (t0, t1)              visits by customer_id
 */

const types: Readonly<Record<string, number>> = {
  bool: TypeOid.bool,
  bytea: TypeOid.bytea,
  date: TypeOid.date,
  float8: TypeOid.float8,
  int2: TypeOid.int2,
  int4: TypeOid.int4,
  int8: TypeOid.int8,
  jsonb: TypeOid.jsonb,
  numeric: TypeOid.numeric,
  text: TypeOid.text,
  timestamp: TypeOid.timestamp,
  timestamptz: TypeOid.timestamptz,
  uuid: TypeOid.uuid,
  varchar: TypeOid.varchar,
  bpchar: TypeOid.bpchar,
  name: TypeOid.name,
  oid: TypeOid.oid,
  regclass: 2205,
};

/**
 * `name type`, and behind it: `serial`, `own-serial`, `now()`, `= constant`, `nondeterministic`, `identity`,
 * `generated`, `(n)`.
 */
export function column(text: string): CatalogColumn {
  const [name = '', type = '', ...rest] = text.split(' ');
  const option = rest.join(' ');
  const kinds: Readonly<Record<string, CatalogColumn['defaultKind']>> = {
    serial: 'sequence',
    'own-serial': 'sequence',
    'now()': 'changing',
    'f()': 'function',
  };
  const kind = option.startsWith('=') ? 'constant' : kinds[option];
  const length = /^\((\d+)\)$/.exec(option)?.[1];
  return {
    name,
    type: types[type] ?? 0,
    deterministicCollation: option !== 'nondeterministic',
    notNull: false,
    hasDefault: kind !== undefined,
    ...(kind === undefined ? {} : { defaultKind: kind }),
    typmod: length === undefined ? -1 : Number(length) + 4,
    generated: option === 'generated',
    ...(option === 'own-serial' ? { sequence: 'public.tasks_id_seq' } : {}),
    identity: option === 'identity' ? 'd' : '',
  };
}

export function relation(
  name: string,
  columns: readonly string[],
  more: Partial<CatalogRelation> = {},
): CatalogRelation {
  return {
    schema: 'public',
    name,
    kind: 'r',
    hasTriggersOrRules: false,
    parent: null,
    columns: columns.map(column),
    referencedBy: [],
    refersToItself: false,
    ...more,
  };
}

const relations: readonly CatalogRelation[] = [
  relation('settings', ['key text', 'value text']),
  relation('notes', ['id int8 serial', 'text text']),
  relation('order_id_seq', ['last_value int8'], { kind: 'S' }),
  relation('notes_id_seq', ['last_value int8'], { kind: 'S' }),
  relation(
    'customers',
    ['id int8', 'name text', 'email text', 'country text', 'created timestamptz now()'],
    { primaryKey: ['id'], estimatedRows: 4096 },
  ),
  relation('orders', [
    'id int8',
    'customer_id int8',
    'total numeric',
    'status text = new',
    'placed timestamptz now()',
  ]),
  relation('order_items', ['order_id int8', 'customer_id int4', 'sku text', 'quantity int4']),
  relation('logins', ['name text', 'at timestamptz', 'ip text']),
  relation('devices', ['uid uuid', 'label varchar']),
  relation('prices', ['amount numeric', 'currency text']),
  relation('tickets', ['id int8 serial', 'customer_id int8', 'body text']),
  // Its sequence is known to the catalog.
  relation('tasks', ['id int8 own-serial', 'owner int8', 'body text']),
  relation('tasks_id_seq', [], { kind: 'S', owner: 'public.tasks' }),
  relation('notices', ['id int8', 'body text', 'at timestamptz now()']),
  relation('short_names', ['name varchar (5)', 'id int8']),
  relation('audited', ['customer_id int8', 'what text'], { hasTriggersOrRules: true }),
  relation('folded', ['name text nondeterministic', 'id int8']),
  relation('fixed', ['code float8', 'id int8']),
  relation('events', ['customer_id int8', 'at timestamptz'], { kind: 'p' }),
  relation('events_2026', ['customer_id int8', 'at timestamptz'], { parent: 'public.events' }),
  relation('base', ['customer_id int8', 'what text']),
  relation('derived', ['customer_id int8', 'what text', 'more text'], { parent: 'public.base' }),
  relation('countries', ['code text', 'name text']),
  relation('currencies', ['code text', 'rate numeric', 'updated timestamptz now()']),
  relation('visits', ['customer_id int8', 'page text']),
  relation('order_view', ['id int8', 'customer_id int8'], { kind: 'v' }),
  relation('paid_orders', ['id int8', 'customer_id int8', 'total numeric'], {
    kind: 'v',
    viewDefinition:
      "SELECT o.id, o.customer_id, o.total FROM public.orders o WHERE (o.status = 'paid'::text)",
    viewIsPlain: true,
  }),
  relation('customer_count', ['n int8', 'country text'], {
    kind: 'v',
    viewDefinition:
      'SELECT count(*) AS n, customers.country FROM public.customers GROUP BY customers.country',
    viewIsPlain: true,
  }),
  relation('guarded_orders', ['id int8', 'customer_id int8'], {
    kind: 'v',
    viewDefinition: 'SELECT orders.id, orders.customer_id FROM public.orders',
    viewIsPlain: false,
  }),
  relation('order_summary', ['customer_id int8'], { kind: 'm' }),
  relation('Mixed', ['Id int8', 'id int8', 'Value text']),
  relation('orders', ['id int8', 'customer_id int8', 'region text'], { schema: 'archive' }),
  relation('pg_class', ['oid oid', 'relname name', 'relkind bpchar'], { schema: 'pg_catalog' }),
  relation('pg_tables', ['schemaname name', 'tablename name'], { schema: 'pg_catalog', kind: 'v' }),
  relation('tables', ['table_name name'], { schema: 'information_schema', kind: 'v' }),
];

function userFunction(
  name: string,
  volatility: string,
  more: Partial<CatalogFunction> = {},
): CatalogFunction {
  return { schema: 'public', name, kind: 'f', volatility, language: 'sql', ...more };
}

const functions = [
  userFunction('double_it', 'i'),
  userFunction('count_orders', 's'),
  userFunction('touch', 'v'),
  userFunction('longest', 'i', { kind: 'a' }),
];

const words = (text: string): Set<string> => new Set(text.split(' '));

export function shopCatalog(more: Partial<Catalog> = {}): Catalog {
  return {
    version: 1,
    relations: new Map(relations.map((item) => [`${item.schema}.${item.name}`, item])),
    functions: new Map(functions.map((item) => [item.name, [item]])),
    operators: new Set(['<~>']),
    volatileBuiltins: words(
      'random clock_timestamp gen_random_uuid nextval setval currval lastval set_config setseed pg_sleep ' +
        'pg_advisory_lock pg_advisory_xact_lock pg_try_advisory_lock pg_advisory_unlock_all pg_notify query_to_xml ' +
        'lo_create pg_export_snapshot pg_terminate_backend pg_table_size pg_relation_size pg_is_in_recovery',
    ),
    aggregates: words(
      'count sum avg min max array_agg string_agg bool_and bool_or every bit_and bit_or bit_xor ' +
        'any_value json_agg',
    ),
    windowFunctions: words('row_number rank lag lead'),
    setReturning: words('generate_series unnest json_each'),
    types: new Map(Object.entries(types)),
    ...more,
  };
}

function sharded(name: string, key: string, vindex = 'hash', schema = 'public'): TableSpec {
  return { type: 'sharded', schema, name, keyColumns: [key], vindex };
}

function plain(name: string, type: 'reference' | 'unsharded' | 'sequence'): TableSpec {
  return { type, schema: 'public', name };
}

export function shopTopology(defaultKeyspace: string | null = 'main'): Topology {
  const range = (text: string) => [parseKeyRange(text)!];
  return makeTopology({
    version: 1,
    defaultKeyspace,
    keyspaces: [
      {
        name: 'main',
        shards: [{ name: 'main', ranges: [] }],
        vindexes: [],
        tables: [plain('settings', 'unsharded'), plain('order_id_seq', 'sequence')],
      },
      {
        name: 'shop',
        shards: [
          { name: 's0', ranges: range('-40') },
          { name: 's1', ranges: range('40-80') },
          { name: 's2', ranges: range('80-c0') },
          { name: 's3', ranges: range('c0-') },
        ],
        vindexes: [makeHashVindex('hash'), makeHashVindex('by_customer')],
        tables: [
          sharded('customers', 'id', 'by_customer'),
          sharded('orders', 'customer_id'),
          sharded('orders', 'customer_id', 'hash', 'archive'),
          sharded('order_items', 'customer_id'),
          sharded('logins', 'name'),
          sharded('devices', 'uid'),
          sharded('prices', 'amount'),
          sharded('tickets', 'customer_id'),
          sharded('tasks', 'owner'),
          {
            ...sharded('notices', 'id'),
            ids: { column: 'id', from: 'snowflake', sequence: null },
          },
          sharded('short_names', 'name'),
          sharded('audited', 'customer_id'),
          sharded('folded', 'name'),
          sharded('fixed', 'code'),
          sharded('events', 'customer_id'),
          sharded('base', 'customer_id'),
          sharded('Mixed', 'Id'),
          sharded('missing', 'id'),
          plain('countries', 'reference'),
          plain('currencies', 'reference'),
        ],
      },
      {
        name: 'stats',
        shards: [
          { name: 't0', ranges: range('-80') },
          { name: 't1', ranges: range('80-') },
        ],
        vindexes: [makeHashVindex('hash')],
        tables: [sharded('visits', 'customer_id')],
      },
    ],
  });
}

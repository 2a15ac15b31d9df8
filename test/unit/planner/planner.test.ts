import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { Planner, type PlanContext, type PlanMetrics } from '../../../src/planner/planner.js';
import type { PlannedText } from '../../../src/planner/plan.js';
import { ShapeUsages } from '../../../src/metrics/shape-usage.js';
import { Literals } from '../../../src/sql/literals.js';
import { Parser } from '../../../src/sql/parser.js';
import { offsetOf } from '../../../src/sql/position.js';
import { buildWorker, type BuiltWorker } from '../sql/built-worker.js';
import { shopCatalog, shopTopology } from './shop.js';
import { summarize, type Summary } from './summary.js';

let worker: BuiltWorker;
let parser: Parser;
let planner: Planner;
let metrics: PlanMetrics;
let literals: Literals;

beforeAll(async () => {
  worker = buildWorker();
  parser = await Parser.create({ workerUrl: worker.url });
});

afterAll(async () => {
  await parser.close();
  worker.remove();
});

beforeEach(() => {
  metrics = {
    planCacheTextHits: 0,
    planCacheShapeHits: 0,
    planCacheMisses: 0,
    planCacheEvictions: 0,
    planCacheSize: () => ({ entries: 0, bytes: 0 }),
    shapes: new ShapeUsages(),
  };
  planner = new Planner(parser, shopTopology(), shopCatalog(), metrics);
  literals = new Literals();
});

const PUBLIC: PlanContext = {
  searchPath: ['public'],
  searchPathKey: '',
  paramTypes: [],
  paramTypesKey: '',
};

function plan(sql: string, context: Partial<PlanContext> = {}): PlannedText {
  const bytes = new TextEncoder().encode(sql);
  const planned = planner.plan(bytes, 0, bytes.length, { ...PUBLIC, ...context }, literals);
  if (planned instanceof Promise) throw new Error('planned aside');
  return planned;
}

function summary(sql: string, context: Partial<PlanContext> = {}): Summary {
  return summarize(plan(sql, context));
}

describe('plan cache', () => {
  it('serves a text without literals by the text itself', () => {
    const first = plan('select * from orders where customer_id = $1');
    expect(plan('select * from orders where customer_id = $1')).toBe(first);
    expect(metrics).toMatchObject({ planCacheTextHits: 1, planCacheMisses: 1 });
  });

  it('serves every value of a shape by one plan', () => {
    const first = plan('select * from orders where customer_id = 5');
    expect(plan('select * from orders where customer_id = 123456')).toBe(first);
    expect(metrics).toMatchObject({ planCacheShapeHits: 1, planCacheMisses: 1 });
    expect(literals.count).toBe(1);
    expect(literals.ends[0]! - literals.starts[0]!).toBe(6);
  });

  it('keeps literals of different kinds, signs and list lengths apart', () => {
    const texts = ['= 5', '= -5', "= '5'", '= 5.0', '= 5000000000', 'in (5)', 'in (5, 6)'];
    const plans = texts.map((text) => plan(`select * from orders where customer_id ${text}`));
    expect(new Set(plans).size).toBe(texts.length);
  });

  it('plans anew where the plan depends on a value', () => {
    const one = summary("select * from orders where customer_id = any('{1,2}')");
    const other = summary("select * from orders where customer_id = any('{3}')");
    expect(one.groups).toEqual([
      ["orders.customer_id = '1' int8", "orders.customer_id = '2' int8"],
    ]);
    expect(other.groups).toEqual([["orders.customer_id = '3' int8"]]);
    summary("select * from orders where customer_id = any('{1,2}')");
    expect(metrics).toMatchObject({ planCacheShapeHits: 1, planCacheMisses: 2 });
  });

  it('reads set_config by its values', () => {
    const effects = (sql: string) => summary(sql).effects;
    expect(effects("select set_config('a.b', 'x', false)")).toMatchObject([{ value: 'x' }]);
    expect(
      effects("select set_config('a.b', 'y', true), set_config('a.c', 'z', false)::text"),
    ).toMatchObject([
      { value: 'y', local: true },
      { value: 'z', local: false },
    ]);
  });

  it.each([
    "select set_config('a.b', 'x', false) where random() < 0.5",
    "select set_config('a.b', 'x', false) limit 0",
    "select set_config('a.b', 'x', false), generate_series(1, 0)",
    "select case when random() < 0.5 then set_config('a.b', 'x', false) end",
    "select set_config('a.b', 'x', false) = 'x' and set_config('a.b', 'y', false) = 'x'",
    "select set_config('transaction_isolation', 'serializable', false)",
    "select set_config('seed', '0.5', false)",
  ])('refuses %s, which may not be called or not be kept', (sql) => {
    expect(summary(sql)).toHaveProperty('refuse');
  });

  it('notices that a string means the current time, whatever was planned before', () => {
    expect(summary("insert into countries values ('de', 'Germany')")).toHaveProperty('broadcast');
    expect(summary("insert into countries values ('de', 'now')")).toHaveProperty('route');
    expect(summary("insert into countries values ('de', 'Germany')")).toHaveProperty('broadcast');
  });

  it('never keeps DDL', () => {
    const first = plan('create table x (a int)');
    expect(plan('create table x (a int)')).not.toBe(first);
  });

  it('drops plans when topology or catalog change', () => {
    const first = plan('select * from orders where customer_id = $1');
    planner.update(shopTopology(), shopCatalog({ version: 2 }));
    const second = plan('select * from orders where customer_id = $1');
    expect(second).not.toBe(first);
    expect(second.catalogVersion).toBe(2);
    expect(planner.catalogVersion).toBe(2);
  });

  it('keeps sessions of different search paths apart', () => {
    const archive = { searchPath: ['archive', 'public'], searchPathKey: 'archive' };
    expect(plan('select region from orders where customer_id = 5', archive)).not.toBe(
      plan('select region from orders where customer_id = 5'),
    );
  });

  it('counts parameters once per text', () => {
    expect(plan('select $3::int, $1::text').paramCount).toBe(3);
    expect(plan('begin').paramCount).toBe(0);
  });

  it('reports its size', () => {
    plan('select * from orders where customer_id = $1');
    expect(metrics.planCacheSize().entries).toBe(1);
    expect(metrics.planCacheSize().bytes).toBeGreaterThan(1000);
  });

  it('forgets as many as come once it is full: 50,000 texts do not pile up', () => {
    const entries: number[] = [];
    for (let i = 0; i < 50_000; i++) {
      plan(`select region as c${i} from orders where customer_id = $1`);
      if (i % 10_000 === 9_999) entries.push(metrics.planCacheSize().entries);
    }
    expect(metrics.planCacheMisses).toBe(50_000);
    expect(metrics.planCacheSize().bytes).toBeLessThan(50 * 2 ** 20);
    expect(metrics.planCacheEvictions).toBeGreaterThan(20_000);
    expect(Math.max(...entries)).toBeLessThan(30_000);
  }, 60_000);
});

describe('errors of the text', () => {
  it('are the parser’s own', () => {
    expect(() => plan('selec 1')).toThrow('syntax error at or near "selec"');
  });

  it('are found anew each time', () => {
    expect(() => plan('select 1 from')).toThrow('syntax error at end of input');
    expect(() => plan('select 1 from')).toThrow('syntax error at end of input');
  });
});

describe('rows of a multi-row INSERT', () => {
  function rowsOf(sql: string): string[] {
    const { statements } = plan(sql);
    const bytes = new TextEncoder().encode(sql);
    const inner = statements[0]!.plan;
    if (inner.kind !== 'insertSplit') throw new Error(JSON.stringify(inner));
    return inner.rows.map(({ start, end }) =>
      new TextDecoder().decode(bytes.subarray(offsetOf(start, literals), offsetOf(end, literals))),
    );
  }

  it('are found in every text of the shape', () => {
    const head = 'insert into orders (id, customer_id, status) values ';
    expect(rowsOf(`${head}(1, 2, 'a'), (3, 4, 'b')`)).toEqual(["(1, 2, 'a')", "(3, 4, 'b')"]);
    expect(rowsOf(`${head}(100, 2, 'it''s (a)'), (3, 4, '')`)).toEqual([
      "(100, 2, 'it''s (a)')",
      "(3, 4, '')",
    ]);
    expect(metrics.planCacheShapeHits).toBe(1);
  });

  it('are found between comments, parentheses and quoted names', () => {
    const sql =
      'with v as (values (9)) insert into orders as "values(" ("id", customer_id, total) /* ( */ values ' +
      '(1, 2, (3 + (4))), -- )\n($1, $2, null) on conflict (id) do nothing';
    expect(rowsOf(sql)).toEqual(['(1, 2, (3 + (4)))', '($1, $2, null)']);
  });

  it('are found in texts too long for the cache', () => {
    const rows = Array.from({ length: 250 }, (_, i) => `(${i}, ${i + 1}, 'x${'y'.repeat(80)}')`);
    const sql = `insert into orders (id, customer_id, status) values ${rows.join(', ')}`;
    expect(sql.length).toBeGreaterThan(16_384);
    expect(rowsOf(sql)).toEqual(rows);
  });
});

describe('types of parameters', () => {
  const key = (sql: string, paramTypes: number[]): unknown => {
    const { groups, rows, refuse, route } = summary(sql, {
      paramTypes,
      paramTypesKey: paramTypes.join(),
    });
    return groups ?? rows ?? refuse ?? route;
  };
  const byKey = 'select * from orders where customer_id = $1 limit 1';

  it('are those of Parse', () => {
    expect(key(byKey, [TypeOid.int4])).toEqual([['orders.customer_id = $1 int4']]);
    expect(key(byKey, [TypeOid.numeric])).toEqual([['orders.customer_id = $1 numeric']]);
  });

  it('bind nothing where the column is compared in another way', () => {
    expect(key(byKey, [TypeOid.text])).toBe('all of shop');
    expect(key(byKey, [TypeOid.float8])).toBe('all of shop');
  });

  it('pass casts that keep the value', () => {
    const cast = 'select * from orders where customer_id = $1::int8 limit 1';
    expect(key(cast, [TypeOid.int4])).toEqual([['orders.customer_id = $1 int4']]);
    expect(key(cast, [TypeOid.text])).toBe('all of shop');
    expect(key(cast, [TypeOid.numeric])).toBe('all of shop');
  });

  it('may be arrays', () => {
    const any = 'select * from orders where customer_id = any($1) limit 1';
    expect(key(any, [1007])).toEqual([['orders.customer_id = any $1 int4']]);
    expect(key(any, [TypeOid.int4])).toBe('all of shop');
  });

  it('must be told for a value that is stored', () => {
    const insert = 'insert into orders (id, customer_id) values ($1, $2)';
    expect(key(insert, [0, TypeOid.int8])).toEqual(['orders.customer_id := $2 int8']);
    // Nobody but the server knows what becomes of it.
    expect(key(insert, [0, TypeOid.text])).toBe('nowhere');
  });
});

describe('without a default keyspace', () => {
  beforeEach(() => {
    planner = new Planner(parser, shopTopology(null), shopCatalog());
  });

  it('refuses tables that the configuration does not name', () => {
    expect(summary('select * from notes').refuse).toBe('table "notes" belongs to no keyspace');
  });

  it('answers for tables that do not exist as Postgres does', () => {
    const refused = 'undefined_table: relation "nope" does not exist';
    expect(summary('select * from nope').refuse).toBe(refused);
    expect(summary('update nope set a = 1').refuse).toBe(refused);
    expect(summary('truncate nope').refuse).toBe(refused);
  });
});

describe('names', () => {
  it('follow the search path', () => {
    const archive = { searchPath: ['archive', 'public'], searchPathKey: 'archive' };
    // Only archive.orders has a column region, so that `region` there hides nothing further out.
    const sql =
      'select * from logins l where l.name = (select region from orders where customer_id = 5)';
    expect(summary(sql, archive)).toMatchObject({
      many: { gather: [{ from: 'orders.customer_id = literal 0 int4' }, {}] },
    });
  });

  it('of types made by users bind nothing', () => {
    const types = new Map([...shopCatalog().types, ['public.int8', 70_000]]);
    planner = new Planner(parser, shopTopology(), shopCatalog({ types }));
    const sql = "select * from orders where customer_id = '5'::int8 limit 1";
    const late = { searchPath: ['public', 'pg_catalog'], searchPathKey: 'late' };
    expect(summary(sql)).toHaveProperty('groups');
    expect(summary(sql, late)).toMatchObject({ route: 'all of shop' });
  });

  it('of an overloaded equality bind nothing', () => {
    planner = new Planner(parser, shopTopology(), shopCatalog({ comparisonsOverloaded: true }));
    const sql = 'select * from orders where customer_id = 5 limit 1';
    expect(summary(sql)).toMatchObject({ route: 'all of shop' });
  });
});

describe('texts with long strings', () => {
  const long = 'x'.repeat(20 * 1024 * 1024);

  it.each([`'${long}'`, `$$${long}$$`, `E'${long}'`])('are planned by what is left', (literal) => {
    const statement = (status: string): string =>
      `SELECT id FROM orders WHERE customer_id = 5 AND status = ${status}`;
    const expected = summary(statement("'a'"));
    expect(summary(statement(literal))).toEqual(expected);
    expect(literals.ends[1]! - literals.starts[1]!).toBe(literal.length);
  });

  it('and whole where the plan depends on them, which has its limit', () => {
    const ordered = (literal: string): string =>
      `SELECT total, count(*) FROM orders GROUP BY total HAVING max(status) < ${literal} ORDER BY 1`;
    expect(() => plan(ordered(`'${long}'`))).toThrow(/too large/);
  });

  it('are whole where something is wrong with them', () => {
    expect(() => plan(`SELECT '${long}' FROM`)).toThrow(/too large/);
  });
});

describe('oversized texts', () => {
  it('are planned aside and not kept', async () => {
    const list = Array.from({ length: 4000 }, (_, index) => String(index)).join(', ');
    const bytes = new TextEncoder().encode(`select * from orders where customer_id in (${list})`);
    const planned = planner.plan(bytes, 0, bytes.length, PUBLIC, literals);
    expect(planned).toBeInstanceOf(Promise);
    const { groups } = summarize(await planned) as { groups: string[][] };
    expect(groups[0]).toHaveLength(4000);
    expect(metrics.planCacheSize().entries).toBe(0);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Catalog } from '../../../src/keyspace/catalog.js';
import type { GatherSpec } from '../../../src/planner/plan.js';
import { Planner } from '../../../src/planner/planner.js';
import { Literals } from '../../../src/sql/literals.js';
import { Parser } from '../../../src/sql/parser.js';
import { relation, shopCatalog, shopTopology } from './shop.js';

let parser: Parser;
let planner: Planner;

beforeAll(async () => {
  parser = await Parser.create();
  planner = new Planner(parser, shopTopology(), shopCatalog());
});

afterAll(async () => {
  await parser.close();
});

const PUBLIC = { searchPath: ['public'], searchPathKey: '', paramTypes: [], paramTypesKey: '' };

/** How a statement is gathered; the reason where it is refused. */
function gather(sql: string, by = planner): GatherSpec | string {
  const bytes = new TextEncoder().encode(sql);
  const planned = by.plan(bytes, 0, bytes.length, PUBLIC, new Literals());
  if (planned instanceof Promise) throw new Error('planned aside');
  const [{ plan }] = planned.statements as [(typeof planned.statements)[0]];
  if (plan.kind === 'refuse') return plan.refusal.message;
  if (plan.kind !== 'route' || plan.many.kind !== 'gather') throw new Error(`not gathered: ${sql}`);
  return plan.many.gather;
}

function inputs(sql: string, by = planner): string[] {
  const spec = gather(sql, by);
  return typeof spec === 'string' ? [spec] : spec.inputs.map((input) => input.sql);
}

function final(sql: string): string {
  const spec = gather(sql);
  if (typeof spec === 'string') return spec;
  return spec.final
    .map((piece) => (typeof piece === 'string' ? piece : `<${piece.input}>`))
    .join('');
}

/** The shop with further tables or other ones. */
function shopWith(...relations: Parameters<typeof relation>[]): Planner {
  const known = shopCatalog();
  const more = relations.map((item) => relation(...item));
  const catalog: Catalog = {
    ...known,
    relations: new Map([
      ...known.relations,
      ...more.map((item) => [`${item.schema}.${item.name}`, item] as const),
    ]),
  };
  return new Planner(parser, shopTopology(), catalog);
}

describe('columns that travel', () => {
  it('are those whose names occur anywhere in the statement', () => {
    const sql =
      'select o.id from orders o, visits v where o.status = v.page group by o.id, o.total';
    expect(inputs(sql)[0]).toBe('SELECT id, total, status FROM public.orders');
  });

  it('are all of them where one is called by its place', () => {
    const all = 'SELECT id, customer_id, total, status, placed FROM public.orders';
    expect(inputs('select a from orders as o (a), visits')[0]).toBe(all);
    expect(inputs('select x from (orders cross join visits) as j (x)')[0]).toBe(all);
    expect(inputs('select count(o) from orders o, visits')[0]).toBe(all);
    expect(inputs('select (o).id from orders o, visits')[0]).toBe(all);
    expect(inputs('select * from (select o.* from orders o, visits) x')[0]).toBe(all);
    expect(inputs('select id from orders natural join visits')[0]).toBe(all);
    expect(inputs('select page from visits union (table orders limit 1)')[1]).toBe(all);
  });

  it('are not asked for by the star of an EXISTS or of a count', () => {
    const sql =
      'select count(*) from visits where exists (select * from orders where id = length(page))';
    expect(inputs(sql)).toEqual(['SELECT page FROM public.visits', 'SELECT id FROM public.orders']);
  });
});

describe('conditions on a table alone', () => {
  it('are checked where its rows are read', () => {
    const sql = `select 1 from orders o join visits v on v.page = 'a' and o.id = v.customer_id
      where o.total > 5 and (o.status = 'x' or o.status is null)`;
    expect(inputs(sql)).toEqual([
      "SELECT id, total, status FROM public.orders AS o WHERE (o.total > 5) AND (o.status = 'x' OR o.status IS NULL)",
      "SELECT customer_id, page FROM public.visits AS v WHERE (v.page = 'a')",
    ]);
  });

  it('are made of what an OR says of each', () => {
    const sql = `select 1 from orders o, visits v
      where (o.id = v.customer_id and o.total > 5 and v.page = 'a') or (o.id = 3 and v.page = 'b')`;
    expect(inputs(sql)).toEqual([
      'SELECT id, total FROM public.orders AS o WHERE (o.total > 5 OR o.id = 3)',
      "SELECT customer_id, page FROM public.visits AS v WHERE (v.page = 'a' OR v.page = 'b')",
    ]);
    expect(inputs("select 1 from orders o, visits v where o.id = 1 or v.page = 'a'")).toEqual([
      'SELECT id FROM public.orders',
      'SELECT page FROM public.visits',
    ]);
  });

  it('are not where an outer join makes rows that they are checked on', () => {
    const sql = `select 1 from visits v left join orders o on o.id = v.customer_id and v.page = 'a'
      where o.total is null`;
    expect(inputs(sql)).toEqual([
      'SELECT customer_id, page FROM public.visits',
      'SELECT id, total FROM public.orders',
    ]);
  });

  it('are not behind an outer join that comes before the condition', () => {
    const sql = `select 1 from (visits v left join orders o on o.id = v.customer_id)
      join prices p on o.total is null`;
    expect(inputs(sql)[1]).toBe('SELECT id, total FROM public.orders');
  });

  it('are not where they have another value on every shard or at every call', () => {
    for (const condition of ['placed > now()', 'total > random()', "placed > 'today'"]) {
      expect(inputs(`select 1 from orders, visits where ${condition}`)[0]).not.toContain('WHERE');
    }
    expect(inputs('select 1 from orders, visits where double_it(id) = 2')[0]).not.toContain(
      'WHERE',
    );
  });
});

describe('tables that are joined on the shard key', () => {
  const items = (sql: string): string | undefined =>
    inputs(sql).find((input) => input.includes('FROM public.order_items'));
  const read = 'SELECT customer_id FROM public.order_items';

  it('are asked for rows that can meet one of the other', () => {
    const from = 'select 1 from order_items i join orders o on o.customer_id = i.customer_id';
    expect(items(`${from}, visits v where o.total > 5 and v.page = o.status`)).toBe(
      `${read} AS i WHERE EXISTS (SELECT FROM public.orders AS o WHERE ` +
        '(o.customer_id = i.customer_id) AND (o.total > 5))',
    );
  });

  it('are not where that rules nothing out, or might rule out too much', () => {
    const on = 'o.customer_id = i.customer_id';
    for (const from of [
      `order_items i join orders o on ${on}, visits`,
      `order_items i left join orders o on ${on} and o.total > 5, visits`,
      `order_items i full join orders o on ${on} and o.total > 5, visits`,
      `(order_items i left join orders o on ${on}) join visits on o.total > 5`,
      `order_items i join orders o on o.id = i.customer_id and o.total > 5, visits`,
      `order_items i join orders o on ${on} and o.total > random(), visits`,
      `order_items i join visits o on ${on} and o.page = 'x'`,
    ]) {
      expect(items(`select 1 from ${from}`), from).toBe(read);
    }
  });

  it('are not where a name without a table would mean another one', () => {
    const sql = `select 1 from order_items i join orders o using (customer_id), prices
      where customer_id > 5 and i.customer_id = o.customer_id`;
    expect(inputs(sql).slice(0, 2)).toEqual([
      read,
      'SELECT customer_id FROM public.orders AS o WHERE (customer_id > 5)',
    ]);
  });
});

describe('the final text', () => {
  it('keeps the names that tables had', () => {
    expect(final('select public.orders.id from only public.orders, visits')).toBe(
      'select orders.id from <0> AS "orders", <1> AS "visits"',
    );
    expect(final('select o.id from only ( orders ) o, visits')).toBe(
      'select o.id from <0> o, <1> AS "visits"',
    );
    expect(final('select 1 from"Mixed"natural join"visits"')).toBe(
      'select 1 from <0> AS "Mixed"natural join <1> AS "visits"',
    );
  });

  it('is cut at bytes, not at characters', () => {
    expect(final("select '日本', id from orders /* 😀 */ , visits v where page = 'ü'")).toBe(
      "select '日本', id from <0> AS \"orders\" /* 😀 */ , <1> v where page = 'ü'",
    );
  });

  it('leaves WITH queries alone that are called like tables', () => {
    const sql = 'with visits as (select 1 as id) select o.id from orders o, visits, prices';
    expect(final(sql)).toBe(
      'with visits as (select 1 as id) select o.id from <0> o, visits, <1> AS "prices"',
    );
  });

  it('is made anew for other literals', () => {
    expect(final("select o.id, 'a' from orders o, visits")).toContain("'a'");
    expect(final("select o.id, 'b' from orders o, visits")).toContain("'b'");
  });
});

describe('queries that shards answer alone', () => {
  it('travel as their rows', () => {
    const sql = `select * from ((select customer_id, count(*) from orders group by 1)) x, visits v`;
    expect(inputs(sql.replace('by 1', 'by customer_id'))[0]).toBe(
      'select customer_id, count(*) from orders group by customer_id',
    );
  });

  it('do not where they see something of the query around them', () => {
    const around = 'select 1 from visits v where exists (select 1 from orders o where';
    expect(inputs(`${around} o.total > 1)`)[0]).toBe(
      'SELECT true AS sg_row WHERE EXISTS (select 1 from orders o where o.total > 1)',
    );
    expect(inputs(`${around} o.id = v.customer_id)`)[0]).not.toContain('WHERE');
    const cte = 'with c as (select 1 as n) select 1 from visits v, ';
    expect(inputs(`${cte} (select o.id from orders o, c) x`)).toContain(
      'SELECT id FROM public.orders',
    );
  });

  it('do not where rows are counted off, ordered, or made by chance', () => {
    for (const query of [
      'select id from orders limit 3',
      'select id from orders order by total',
      'select id, random() as r from orders',
      'select id, clock_timestamp() as n from orders',
      'select distinct status from orders',
      'select id, id from orders',
      'select row(id, total) as r from orders',
    ]) {
      expect(inputs(`select * from (${query}) x, visits`)[0], query).toContain('public.orders');
    }
  });
});

describe('the home', () => {
  const home = (sql: string, by = planner): unknown => {
    const spec = gather(sql, by);
    return typeof spec === 'string' ? spec : spec.home;
  };

  it('is where system catalogs are', () => {
    expect(home('select relname from pg_class, orders')).toEqual({ kind: 'catalog' });
    expect(home('select pg_typeof(page) from visits, orders')).toEqual({ kind: 'catalog' });
  });

  it('is where a sequence is', () => {
    expect(home("select nextval('order_id_seq') from visits, orders")).toMatchObject({
      kind: 'shard',
      shard: { name: 'main' },
    });
  });

  it('is where most rows are', () => {
    const sql = 'select 1 from orders o, settings s';
    expect(home(sql)).toMatchObject({ kind: 'any', keyspace: { name: 'shop' } });
    const large = shopWith(['settings', ['key text', 'value text'], { estimatedRows: 1 << 20 }]);
    expect(home(sql, large)).toMatchObject({ kind: 'shard', shard: { name: 'main' } });
    expect(inputs(sql, large)).toEqual(['SELECT true AS sg_row FROM public.orders']);
  });
});

it('lets the home read its own rows in place where the final statement reads each input once', () => {
  const inPlace = (sql: string): unknown => {
    const spec = gather(sql);
    return typeof spec === 'string' ? spec : spec.readsInPlace;
  };
  expect(inPlace('select 1 from orders o join visits v on o.id = v.customer_id')).toBe(true);
  const row = '(select count(*) from visits v where v.page = o.status)';
  expect(inPlace(`select ${row} from orders o`)).toBeUndefined();
  expect(inPlace('select 1 from visits v, countries c, orders o')).toBeUndefined();
  const sets = 'group by grouping sets ((c.id), (c.id, v.page))';
  expect(inPlace(`select c.id, c.name from customers c, visits v ${sets}`)).toBeUndefined();
});

describe('links between inputs', () => {
  const big = { estimatedRows: 1 << 20 };
  const shop = (): Planner =>
    shopWith(
      ['orders', ['id int8', 'customer_id int8', 'total numeric', 'status text'], big],
      ['visits', ['customer_id int8', 'page text', 'at int4'], big],
      ['settings', ['key text', 'value text'], { estimatedRows: 100 }],
      ['prices', ['amount numeric', 'currency text nondeterministic'], big],
    );
  const links = (sql: string): unknown => {
    const spec = gather(sql, shop());
    if (typeof spec === 'string') return spec;
    return spec.inputs.map(({ link }) => {
      if (link === undefined) return null;
      return `${link.name} = ${link.input}.${link.column}${link.key === null ? '' : ' by key'}`;
    });
  };

  it('let the larger one be read by values of the smaller one', () => {
    const join = 'from settings s join orders o on o.status = s.key';
    expect(links(`select o.id, s.value ${join}`)).toEqual([null, 'status = 0.0']);
    expect(links('select 1 from orders o join visits v on v.page = o.status')).toEqual([
      null,
      null,
    ]);
    const bound = 'from visits v join orders o on o.id = v.at where v.customer_id = 7';
    expect(links(`select o.total ${bound}`)).toEqual([null, 'id = 0.1']);
  });

  it('tell the shards where the column is the shard key', () => {
    const sql = 'select v.page from orders o join visits v on v.customer_id = o.id';
    expect(links(`${sql} where o.customer_id = 7`)).toEqual([null, 'customer_id = 0.0 by key']);
  });

  it('lead from one to the next, never in circles', () => {
    const sql = `select count(*) from orders o join visits v on v.at = o.id
      join visits w on w.page = v.page and w.customer_id = o.id where o.customer_id = 7`;
    const found = links(sql) as (string | null)[];
    expect(found.filter((link) => link === null)).toHaveLength(1);
    expect(found[0]).toBeNull();
  });

  it('follow IN and correlated sub-selects, and the side of an outer join that may be missing', () => {
    const small = "select key from settings where value = 'x'";
    expect(links(`select page from visits where page in (${small})`)).toEqual([null, 'page = 0.0']);
    expect(links(`select page from visits where page not in (${small})`)).toEqual([null, null]);
    const count = '(select count(*) from orders o where o.status = s.key)';
    expect(links(`select s.key, ${count} from settings s, currencies`)).toEqual([
      'status = 1.0',
      null,
    ]);
    const left = 'select 1 from settings s left join visits v on v.page = s.key';
    expect(links(left)).toEqual([null, 'page = 0.0']);
    const right = 'select 1 from settings s right join visits v on v.page = s.key';
    expect(links(right)).toEqual([null, null]);
    const full = 'select 1 from settings s full join visits v on v.page = s.key';
    expect(links(full)).toEqual([null, null]);
  });

  it('need equality to mean equal bytes', () => {
    expect(links('select 1 from settings s join prices p on p.currency = s.key')).toEqual([
      null,
      null,
    ]);
  });

  it('do not restrict what stands for two tables', () => {
    const sql = `select 1 from settings s join visits v on v.page = s.key, visits w`;
    expect(links(sql)).toEqual([null, 'page = 0.0', null]);
    const same = `select 1 from settings s, (select page from visits v offset 0) a,
      (select v.page from visits v where v.page is not null) b where a.page = s.key`;
    expect(links(same)).not.toContain(undefined);
  });
});

it('keeps a primary key only where GROUP BY may rely on it', () => {
  const keys = (sql: string): unknown => {
    const spec = gather(sql);
    return typeof spec === 'string' ? spec : spec.inputs.map((input) => input.primaryKey);
  };
  const from = 'from customers c, visits v group by';
  expect(keys(`select c.id, c.name ${from} distinct c.id`)).toEqual([['id'], null]);
  expect(keys(`select c.id, c.name ${from} rollup (c.id)`)).toEqual([['id'], null]);
  expect(
    keys(`select j.id, j.name from (customers c join visits v on v.id = 1) j group by j.id`),
  ).toEqual([['id'], null]);
  expect(keys(`select c.name, count(c.id) ${from} c.name`)).toEqual([null, null]);
  expect(keys(`select c.id || 'x', count(c.name) ${from} 1`)).toEqual([null, null]);
  expect(keys(`select c.name, count(c.id) ${from} rollup (c.name, v.page)`)).toEqual([null, null]);
  expect(keys(`select c.id, c.name ${from} c.id, c.name`)).toEqual([null, null]);
});

it('writes what follows from a primary key into GROUP BY', () => {
  const final = (sql: string): unknown => {
    const spec = gather(sql);
    if (typeof spec === 'string') return spec;
    expect(spec.inputs.map((input) => input.primaryKey)).toEqual(spec.inputs.map(() => null));
    return spec.final.filter((piece) => typeof piece === 'string').at(-1);
  };
  expect(final('select c.id, c.name from visits v, customers c group by c.id')).toBe(
    ' c group by c.name, c.id',
  );
  expect(final('select c.id, c.name from visits v, public.customers c group by v.page, id')).toBe(
    ' c group by c.name, v.page, id',
  );
  expect(
    final('select customers.name from visits v, public.customers group by public.customers.id'),
  ).toBe(' AS "customers" group by customers.name, customers.id');
  expect(final('select c.id, c.name from visits v, customers c group by 1, v.page')).toBe(
    ' c group by c.name, 1, v.page',
  );
  expect(final('select c.name from visits v, customers c group by rollup (v.page), c.id')).toBe(
    ' c group by c.name, rollup (v.page), c.id',
  );
  // What a set names is null in the other sets.
  expect(
    final('select c.name from visits v, customers c group by grouping sets ((c.name), ()), c.id'),
  ).toBe(' c group by grouping sets ((c.name), ()), c.id');
});

it('names the columns by which sub-selects look rows up', () => {
  const lookups = (sql: string): unknown => {
    const spec = gather(sql);
    return typeof spec === 'string' ? spec : spec.inputs.map((input) => input.lookups?.join(' '));
  };
  const visits = 'select (select sum(total) from orders o where';
  expect(
    lookups(`${visits} o.id = v.customer_id and v.customer_id + 1 = customer_id) from visits v`),
  ).toEqual(['id,customer_id', undefined]);
  expect(lookups(`${visits} o.id > v.customer_id and o.status = v.page) from visits v`)).toEqual([
    undefined,
    undefined,
  ]);
  const twice = `${visits} o.id = v.customer_id), (select min(id) from orders o
    where o.customer_id + 0 = 1 and o.id = v.customer_id) from visits v`;
  expect(lookups(twice)).toContain('id');
  expect(
    lookups('select 1 from visits v where exists (select from orders where id = v.customer_id)'),
  ).toEqual([undefined, undefined]);
});

it('names the collations of columns that have one of their own', () => {
  const named = relation('settings', ['key text', 'value text']).columns.map((column, i) => ({
    ...column,
    ...(i === 0 ? { collation: 'other' as const, collationName: 'public."x"' } : {}),
    ...(i === 1 ? { collation: 'default' as const } : {}),
  }));
  const by = shopWith(['settings', [], { columns: named }]);
  const spec = gather('select key, value from settings, orders', by) as GatherSpec;
  expect(spec.inputs.find(({ label }) => label === 'settings')).toMatchObject({
    defaultCollations: false,
    collations: ['public."x"', null],
  });
  const inside = gather('select 1 from (select value, key from settings offset 0) s, orders', by);
  expect((inside as GatherSpec).inputs.find(({ label }) => label === 'settings')).toMatchObject({
    defaultCollations: false,
    collations: [null, 'public."x"'],
  });
});

it('says which columns have a collation of their own', () => {
  const columns = (collation: 'default' | 'bytes') =>
    relation('settings', ['key text']).columns.map((column) => ({ ...column, collation }));
  for (const collation of ['default', 'bytes'] as const) {
    const by = shopWith(['settings', [], { columns: columns(collation) }]);
    const spec = gather('select key from settings, orders', by) as GatherSpec;
    expect(spec.inputs.find(({ label }) => label === 'settings')?.defaultCollations).toBe(
      collation === 'default',
    );
  }
});

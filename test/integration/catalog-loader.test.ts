import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCatalog, type CatalogRow } from '../../src/backend/catalog-loader.js';
import type { Catalog } from '../../src/keyspace/catalog.js';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';

const schema = `
  create domain short as varchar(5);
  create domain shorter as short default 'x';
  create collation folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create function harmless(int) returns int immutable language sql as 'select 1';
  create function reading() returns int volatile language sql as 'select 1';
  create sequence numbers;
  create domain moment as timestamptz default now();
  create domain verdict as int default reading();
  create domain count as int default nextval('numbers');
  create type mood as enum ('good', 'bad');
  create table things (
    id serial primary key,
    number int generated always as identity,
    made timestamptz default now(),
    label text default upper('x'),
    code short,
    named shorter,
    noted moment,
    judged verdict,
    counted count,
    folded text collate folding,
    read int default reading(),
    computed int default harmless(1),
    twice int generated always as (id + 1) stored,
    uid uuid default gen_random_uuid(),
    day date default current_date,
    feeling mood default 'good',
    next int default nextval('numbers'),
    gone int
  );
  alter table things drop column gone;
  create table parts (a int, b int) partition by hash (a);
  create table part_0 partition of parts for values with (modulus 1, remainder 0);
  create view seen as select 1 as one;
  create function act() returns trigger language plpgsql as 'begin return new; end';
  create table watched (a int references things (id));
  create trigger acts before insert on watched for each row execute function act();
  create table own (a int);
  alter table own enable row level security;
  create policy mine on own using (a = current_setting('my.id')::int);
  create table guarded (a int);
  alter table guarded enable row level security;
  create policy mine on guarded using (a in (select id from things));
  create operator <~> (leftarg = int, rightarg = int, function = int4eq);
  create function odd(int, int) returns bool volatile language sql as 'select true';
  create operator <!> (leftarg = int, rightarg = int, function = odd);
  create table pairs (x int, a int, b int, primary key (b, a) include (x));
  create table late (a int primary key deferrable, b text collate "C", c name, d text collate "POSIX");
  create schema "Other";
  create function "Other".half(int) returns int immutable language sql as 'select $1 / 2';
  create view "Other"."Reports" as
    select t.id, "Other".half(p.a) as half, lower(t.label) as label
    from things t join pairs p on p.b <~> t.id
    where t.feeling = 'good' and t.id in (select one from seen);
  create view barrier with (security_barrier) as select 1 as one;
  create view no_barrier with (security_barrier = off) as select 1 as one;
  create view mine as select a from own;
  create view invoked with (security_invoker) as select g.a from guarded g;
  create view owned with (security_invoker = off) as select g.a from guarded g;
  insert into pairs select i, i, i from generate_series(1, 900) i;
  analyze pairs;
  create aggregate total_of (int) (sfunc = int4pl, stype = int);
`;

let databases: DatabaseSet;
let client: pg.Client;
let catalog: Catalog;

beforeAll(async () => {
  databases = await createDatabaseSet('catalog_loader');
  client = new pg.Client({ connectionString: databases.urls.oracle });
  await client.connect();
  await client.query(schema);
  catalog = await load(1);
});

afterAll(async () => {
  await client.end();
  await databases.drop();
});

/** One query after the other, as a connection runs them anyway. */
function load(version: number, of = client): Promise<Catalog> {
  const types = { getTypeParser: () => (value: unknown) => value };
  let turn: Promise<unknown> = Promise.resolve();
  const query = (text: string): Promise<readonly CatalogRow[]> => {
    const result = turn.then(() => of.query({ text, rowMode: 'array', types }));
    turn = result;
    return result.then(({ rows }) => rows as unknown as CatalogRow[]);
  };
  return loadCatalog(query, version);
}

const things = (name: string) =>
  catalog.relations.get('public.things')!.columns.find((column) => column.name === name)!;

describe('loadCatalog', () => {
  it('gives columns in order, without dropped ones', () => {
    const names = catalog.relations.get('public.things')!.columns.map(({ name }) => name);
    expect(names.slice(0, 4)).toEqual(['id', 'number', 'made', 'label']);
    expect(names).not.toContain('gone');
    expect(names.at(-1)).toBe('next');
  });

  it('reads domains as their base type with its modifier', () => {
    expect(things('code')).toMatchObject({ type: TypeOid.varchar, typmod: 9 });
    expect(things('named')).toMatchObject({ type: TypeOid.varchar, typmod: 9 });
    expect(things('id')).toMatchObject({ type: TypeOid.int4, typmod: -1 });
  });

  it('tells what defaults do', () => {
    const kinds = Object.fromEntries(
      catalog.relations
        .get('public.things')!
        .columns.map((column) => [column.name, column.defaultKind]),
    );
    expect(kinds).toEqual({
      id: 'sequence',
      number: undefined,
      made: 'changing',
      label: 'constant',
      code: undefined,
      named: 'constant',
      noted: 'changing',
      judged: 'function',
      counted: 'sequence',
      folded: undefined,
      read: 'function',
      computed: 'constant',
      twice: undefined,
      uid: 'changing',
      day: 'changing',
      feeling: 'constant',
      next: 'sequence',
    });
  });

  it('tells identity and generated columns', () => {
    expect(things('number')).toMatchObject({ identity: 'a', hasDefault: false });
    expect(things('twice')).toMatchObject({ generated: true, hasDefault: false });
  });

  it('tells nondeterministic collations', () => {
    expect(things('folded').deterministicCollation).toBe(false);
    expect(things('label').deterministicCollation).toBe(true);
  });

  it('tells partitions, views, triggers and policies that read', () => {
    const relation = (name: string) => catalog.relations.get(`public.${name}`)!;
    expect(relation('parts')).toMatchObject({ kind: 'p', parent: null });
    expect(relation('part_0')).toMatchObject({ kind: 'r', parent: 'public.parts' });
    expect(relation('seen')).toMatchObject({ kind: 'v', hasTriggersOrRules: false });
    expect(relation('watched').hasTriggersOrRules).toBe(true);
    expect(relation('things').hasTriggersOrRules).toBe(false);
    expect(relation('own').hasReadingPolicies).toBe(false);
    expect(relation('guarded').hasReadingPolicies).toBe(true);
  });

  it('knows the system catalogs', () => {
    expect(catalog.relations.get('pg_catalog.pg_class')!.columns.length).toBeGreaterThan(30);
    expect(catalog.relations.get('information_schema.tables')!.kind).toBe('v');
    expect(catalog.types.get('int8')).toBe(TypeOid.int8);
    expect(catalog.volatileBuiltins).toContain('nextval');
    expect(catalog.volatileBuiltins).not.toContain('lower');
    expect(catalog.aggregates).toContain('string_agg');
    expect(catalog.windowFunctions).toContain('row_number');
    expect(catalog.setReturning).toContain('generate_series');
  });

  it('knows what users made', async () => {
    expect(catalog.functions.get('harmless')![0]).toMatchObject({ volatility: 'i' });
    expect(catalog.functions.get('reading')![0]).toMatchObject({ volatility: 'v', kind: 'f' });
    expect(catalog.functions.get('total_of')![0]).toMatchObject({ volatility: 'i', kind: 'a' });
    expect([...catalog.operators]).toEqual(['<!>']);
    expect(catalog.types.get('public.mood')).toBeGreaterThan(16_383);
    expect(catalog.comparisonsOverloaded).toBe(false);
    await client.query(`
      create function alike(int, text) returns bool immutable language sql as 'select true';
      create operator = (leftarg = int, rightarg = text, function = alike)`);
    expect((await load(2)).comparisonsOverloaded).toBe(true);
  });

  it('reads primary keys that a GROUP BY may rely on', () => {
    const key = (name: string) => catalog.relations.get(`public.${name}`)!.primaryKey;
    expect(key('things')).toEqual(['id']);
    expect(key('pairs')).toEqual(['b', 'a']);
    expect(key('late')).toBeNull();
    expect(key('watched')).toBeNull();
  });

  it('reads views with all names qualified, and leaves the search path alone', async () => {
    const view = catalog.relations.get('Other.Reports')!;
    expect(view.viewIsPlain).toBe(true);
    const definition = view.viewDefinition!.replace(/\s+/g, ' ');
    expect(definition).toContain('FROM (public.things t JOIN public.pairs p ON');
    expect(definition).toContain('OPERATOR(public.<~>)');
    expect(definition).toContain('"Other".half(p.a)');
    expect(definition).toContain("'good'::public.mood");
    expect(definition).toContain('FROM public.seen');
    expect(definition).toMatch(/\)$/);
    const { rows } = await client.query<{ search_path: string }>('show search_path');
    expect(rows[0]!.search_path).toBe('"$user", public');
    expect(catalog.relations.get('public.things')!.viewDefinition).toBeUndefined();
  });

  it('tells views whose definition means something else to their caller', () => {
    const plain = (name: string) => catalog.relations.get(`public.${name}`)!.viewIsPlain;
    expect(plain('seen')).toBe(true);
    expect(plain('no_barrier')).toBe(true);
    expect(plain('barrier')).toBe(false);
    expect(plain('mine')).toBe(false);
    expect(plain('invoked')).toBe(true);
    expect(plain('owned')).toBe(false);
  });

  it('tells which collations compare by bytes', () => {
    const { columns } = catalog.relations.get('public.late')!;
    expect(columns.map(({ collation }) => collation)).toEqual([
      'default',
      'bytes',
      'bytes',
      'bytes',
    ]);
    expect(columns[0]!.collationName).toBeUndefined();
    expect(columns[1]!.collationName).toBe('pg_catalog."C"');
    expect(things('folded').collation).toBe('other');
    expect(things('label').collation).toBe('default');
  });

  it.each([
    ["template template0 encoding 'UTF8' locale_provider libc locale 'C'", true],
    ["template template0 encoding 'UTF8' locale_provider libc locale 'POSIX'", true],
    ["template template0 locale_provider builtin builtin_locale 'C.UTF-8'", true],
    ["template template0 locale_provider builtin builtin_locale 'PG_UNICODE_FAST'", true],
    ["template template0 locale_provider icu icu_locale 'und'", false],
    ["template template0 encoding 'SQL_ASCII' locale 'C'", false],
    ["template template0 encoding 'UTF8' locale_provider libc locale 'C.UTF-8'", false],
  ])('tells whether text is ordered by bytes: database %s', async (how, expected) => {
    const url = new URL(databases.urls.oracle);
    const name = `${url.pathname.slice(1)}_collated`;
    await client.query(`create database ${name} ${how}`);
    const other = new pg.Client({
      connectionString: Object.assign(url, { pathname: name }).toString(),
    });
    try {
      await other.connect();
      expect((await load(3, other)).textByBytes).toBe(expected);
    } finally {
      await other.end();
      await client.query(`drop database ${name}`);
    }
  });
});

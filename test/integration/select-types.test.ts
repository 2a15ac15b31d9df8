/*
 * Values of every kind of type through merges, gathers and aggregates in part: what has no array
 * type, what is itself an array, composites, ranges, domains, and collations that are not the
 * database's. Every statement must be answered.
 */
import { describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const IDS = [1, 2, 3, 4, 5, 6, 7];

const suite = selectSuite(
  'select_types',
  [
    'CREATE TYPE pair AS (x float8, at timestamptz, s text, n numeric)',
    'CREATE TYPE span AS RANGE (subtype = float8)',
    'CREATE DOMAIN names AS text[]',
    'CREATE DOMAIN word AS text COLLATE "en-x-icu"',
    `CREATE COLLATION caseless (
       provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    `CREATE COLLATION by_number (provider = icu, locale = 'en-u-kn-true')`,
    `CREATE TABLE kinds (id int8 PRIMARY KEY, k int4, m money, ip inet, ci cidr, mac macaddr,
       bi bit(4), vb varbit, ra int4range, rt tstzrange, mr int4multirange, ti time, tt timetz,
       i2 int2, ch "char", nm name, oi oid, js json, xp pair, xa pair[], dn names, dw word,
       sp span, cn text COLLATE caseless, cu text COLLATE by_number, tv tsvector, pt point, bx box,
       fo float4, fe float8, fa float8[], ta timestamptz[], lsn pg_lsn, xm xid8, iv int2vector)`,
    `INSERT INTO kinds (id, k) VALUES ${IDS.map((id) => `(${id}, ${(id % 3) + 1})`).join(', ')}`,
    'INSERT INTO kinds (id) VALUES (8)',
    `UPDATE kinds SET m = (id * 3.5)::numeric::money, ip = ('10.0.' || id || '.1')::inet,
       ci = ('10.' || id || '.0.0/16')::cidr, mac = ('08:00:2b:01:02:0' || id)::macaddr,
       bi = id::int4::bit(4), vb = repeat('1', id::int4)::varbit, ra = int4range(1, id::int4),
       rt = tstzrange('2024-01-01', '2024-02-01'::timestamptz + id * interval '1 h'),
       mr = int4multirange(int4range(1, 1 + id::int4)), ti = time '10:00' - id * interval '1 h',
       tt = (time '10:00' - id * interval '1 h')::timetz, i2 = (5 - id)::int2,
       ch = chr(70 - id::int4)::"char", nm = 'n' || (9 - id), oi = (4000000000 - id)::oid,
       xm = (9 - id)::text::xid8
     WHERE id < 8`,
    `UPDATE kinds SET js = json_build_object('a', id),
       xp = ROW(1.0 / id::float8, timestamptz '2024-01-01 12:00:00.123456+00'
                + id * interval '1 day', E'a"b,(\\t\\n\\\\N' || id, id / 3.0)::pair,
       dn = ARRAY['x', NULL, E'\\\\.', 'y' || id], dw = chr(70 - id::int4), sp = span(0.1 * id, 0.3 * id),
       cn = CASE WHEN id % 2 = 0 THEN 'abc' ELSE 'ABC' END, cu = 'item ' || (id * 7 % 11),
       tv = to_tsvector('simple', 'cat dog ' || id), pt = point(id, 0.1 * id),
       bx = box(point(0, 0), point(id, 1)), fo = 1.1 * id, fe = 0.1 * id + 0.2,
       fa = ARRAY[0.1 * id, 1 / 3.0], ta = ARRAY[timestamptz '2024-07-01 12:00+00'],
       lsn = ('0/' || id)::pg_lsn, iv = (CASE WHEN id % 2 = 0 THEN '' ELSE '1 2' END)::int2vector
     WHERE id < 8`,
    'UPDATE kinds SET xa = ARRAY[xp, NULL, xp] WHERE id < 8',
  ],
  ['kinds'],
);

const sortable =
  'm ip ci mac bi vb ra rt mr ti tt i2 ch nm oi xp xa dn dw sp cn cu tv fo fe fa ta lsn xm'.split(
    ' ',
  );
const columns = [...sortable, 'js', 'pt', 'bx', 'iv'];

describe('sorted over shards', () => {
  for (const column of sortable) {
    suite.answered([
      `SELECT id, ${column} FROM kinds ORDER BY ${column}, id`,
      `SELECT id FROM kinds ORDER BY ${column} DESC NULLS LAST, id LIMIT 5 OFFSET 1`,
    ]);
  }
});

describe('brought to one server', () => {
  suite.answered([
    'SELECT * FROM kinds ORDER BY id',
    'SELECT a.id, b.* FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY 1',
    ...columns.map((column) => {
      return `SELECT a.id, b.${column} FROM kinds a LEFT JOIN kinds b ON a.k = b.id ORDER BY 1`;
    }),
    'SELECT a.id, (b.xp).x, (b.xp).at, (b.xp).n FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY 1',
    'SELECT (b.xa)[1].x, upper(b.sp), b.fa[2] FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY a.id',
    'SELECT count(*) FROM kinds a JOIN kinds b ON a.cn = b.cn AND a.id < b.id',
    'SELECT count(*) FROM kinds a JOIN kinds b ON a.xp = b.xp AND a.ra = b.ra',
    `SELECT id FROM kinds WHERE cn = 'aBc' ORDER BY id`,
  ]);
});

describe('grouped and aggregated', () => {
  suite.answered([
    ...sortable
      .filter((column) => column !== 'cn')
      .map((column) => `SELECT ${column}, count(*) FROM kinds GROUP BY ${column} ORDER BY 1`),
    'SELECT count(DISTINCT cn) FROM kinds',
    'SELECT count(*) FROM (SELECT DISTINCT cn FROM kinds) x',
    'SELECT max(m), min(ip), max(ip), min(ti), max(tt), max(lsn), max(oi), max(xm) FROM kinds',
    'SELECT sum(m), sum(i2), avg(i2), sum(ti), avg(ti) FROM kinds',
    'SELECT k, min(xp), max(xp), max(cu), min(dw), max(fa), min(dn) FROM kinds GROUP BY k ORDER BY k',
    'SELECT range_agg(ra), range_intersect_agg(rt), range_agg(mr) FROM kinds',
    'SELECT k, array_agg(xp ORDER BY id), jsonb_agg(xp ORDER BY id) FROM kinds GROUP BY k ORDER BY k',
    'SELECT bit_or(bi), bit_and(bi), bit_xor(i2) FROM kinds',
  ]);
});

describe('settings that change how values are written do not change values', () => {
  const statements = [
    'SELECT a.id, (b.xp).x = 1.0 / 3::float8, b.xp FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY 1',
    'SELECT a.id, extract(epoch FROM (b.xp).at), b.xa FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY 1',
    'SELECT a.id, (b.xa)[1].x * 3 = 1, b.sp, b.fa FROM kinds a JOIN kinds b ON a.k = b.id ORDER BY 1',
    'SELECT xp, rt, ta, count(*) FROM kinds GROUP BY 1, 2, 3 ORDER BY 1, 2, 3',
    'SELECT id, xp, fe FROM kinds ORDER BY xp DESC, id',
  ];
  const settings = [
    'extra_float_digits = 0',
    'extra_float_digits = -12',
    `datestyle = 'SQL, DMY'`,
    `datestyle = 'Postgres, MDY'`,
    `timezone = 'Asia/Kolkata'`,
    `intervalstyle = 'sql_standard'`,
    `bytea_output = 'escape'`,
    'array_nulls = off',
    'quote_all_identifiers = on',
    `search_path = 'pg_catalog', 'public'`,
  ];
  test.each(settings)('%s', async (setting) => {
    const { proxy, oracle } = suite;
    for (const session of [proxy(), oracle()]) {
      await session.must('RESET ALL');
      await session.must(`SET ${setting}`);
    }
    for (const sql of statements) {
      for (const protocol of ['simple', 'binary'] as const) {
        const [ours, theirs] = [
          await proxy().run(sql, protocol),
          await oracle().run(sql, protocol),
        ];
        // Under a few of them, values that can only travel as text do not.
        if (ours.error?.state === '0A000') expect(ours.error.hint, sql).not.toBeNull();
        else expect(ours, sql).toEqual(theirs);
      }
    }
  });
});

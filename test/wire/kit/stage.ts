import type { ClusterTables } from '../../support/proxy-config.js';

/** The tables that stories are about: sharded ones, a reference table, unsharded ones. */
export const tables: ClusterTables = {
  // Those that stories make are named too: else clients are told where they are placed.
  main: { settings: {}, log: {}, told: {}, described: {}, changed: {}, 'other.settings': {} },
  shop: {
    items: { shard_key: 'id', vindex: 'by_key' },
    parts: { shard_key: 'item_id', vindex: 'by_key' },
    countries: { type: 'reference' },
  },
};

export const schema: readonly string[] = [
  "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
  'CREATE DOMAIN positive AS int4 CHECK (VALUE > 0)',
  `CREATE TABLE items (
     id int8 PRIMARY KEY, name text, price numeric(10,2), label varchar(20), feeling mood,
     tags text[], added timestamptz, CONSTRAINT items_price CHECK (price >= 0))`,
  `CREATE TABLE parts (
     item_id int8 REFERENCES items, n int4, amount positive NOT NULL, data bytea, PRIMARY KEY (item_id, n))`,
  'CREATE TABLE countries (code char(2) PRIMARY KEY, name text NOT NULL)',
  `CREATE FUNCTION told(n int8, what text) RETURNS int8 IMMUTABLE LANGUAGE plpgsql AS $$
     BEGIN
       RAISE NOTICE 'one %', what;
       RAISE WARNING 'two %', what USING DETAIL = 'd', HINT = 'h', ERRCODE = '01234';
       RAISE INFO 'three %', what;
       RAISE LOG 'four'; RAISE DEBUG 'five';
       IF n = 9 THEN
         RAISE EXCEPTION 'e %', what USING DETAIL = 'd', HINT = 'h', ERRCODE = 'P1234', SCHEMA = 's',
           TABLE = 't', COLUMN = 'c', DATATYPE = 'x', CONSTRAINT = 'k';
       END IF;
       RETURN 10 / n;
     END $$`,
  'CREATE TABLE settings (key text PRIMARY KEY, value text)',
  'CREATE TABLE log (n int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line text NOT NULL)',
];

/** What the tables hold when a story begins. */
export const contents: readonly string[] = [
  `INSERT INTO items SELECT g, 'item ' || g, g * 1.5, 'label ' || g % 3,
     (ARRAY['sad', 'ok', 'happy']::mood[])[g % 3 + 1], ARRAY['a', 'b' || g],
     '2026-01-01 00:00:00Z'::timestamptz + g * interval '1 day'
     FROM generate_series(1, 12) g`,
  `INSERT INTO parts SELECT i, n, i * 10 + n, decode(lpad(to_hex(i), 4, '0'), 'hex')
     FROM generate_series(1, 12) i, generate_series(1, 2) n`,
  "INSERT INTO countries VALUES ('at', 'Austria'), ('de', 'Germany'), ('fr', 'France')",
  "INSERT INTO settings SELECT 'k' || g, 'v' || g FROM generate_series(1, 9) g",
];

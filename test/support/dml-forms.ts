import type { Dice } from './chaos-random.js';

/*
 * Further statements that write, in all the forms of PostgreSQL 18: over types, defaults, constraints and partitions,
 * with WITH queries, expressions on both sides, and what RETURNING tells of old and new rows. Where one may fail in
 * several ways, only its failing is sure.
 */

export const formTables: readonly string[] = ['docs', 'owners', 'pets', 'logs', 'kinds', 'plain'];

export const formSchema: readonly string[] = [
  'CREATE DOMAIN small AS int4 CHECK (VALUE BETWEEN 0 AND 50)',
  "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')",
  'CREATE TABLE kinds (id int4 PRIMARY KEY, label text UNIQUE)',
  `CREATE TABLE docs (id int8 PRIMARY KEY, j jsonb DEFAULT '{}', xs int4[], s small, m mood DEFAULT 'ok',
     total int4 GENERATED ALWAYS AS (coalesce(s, 0) * 2) STORED, flag bool NOT NULL DEFAULT true,
     at date DEFAULT '2024-05-01', CHECK (cardinality(xs) < 9))`,
  'CREATE TABLE owners (id int8 PRIMARY KEY, label text, kind int4 REFERENCES kinds (id), n int4)',
  `CREATE TABLE pets (owner int8, num int4, name text, weight numeric(6,2) DEFAULT 1.5, PRIMARY KEY (owner, num),
     UNIQUE (owner, name), FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE)`,
  'CREATE TABLE logs (k int8, day int4, msg text, n int4, PRIMARY KEY (k, day)) PARTITION BY RANGE (day)',
  'CREATE TABLE logs_a PARTITION OF logs FOR VALUES FROM (0) TO (50)',
  'CREATE TABLE logs_b PARTITION OF logs FOR VALUES FROM (50) TO (100)',
  'CREATE TABLE plain (id int4 PRIMARY KEY, v text, n int8)',
];

export const formRows: readonly string[] = [
  `INSERT INTO kinds SELECT g, 'k' || g FROM generate_series(0, 5) g`,
  `INSERT INTO docs (id, j, xs, s, m, flag) SELECT g, jsonb_build_object('a', g % 4, 'b', 't' || g), ARRAY[g, g % 3], nullif(g % 7, 0),
     (ARRAY['sad', 'ok', 'glad', NULL])[1 + g % 4]::mood, g % 3 > 0 FROM generate_series(1, 30) g`,
  `INSERT INTO owners SELECT g, 'o' || g % 6, nullif(g % 6, 4), g % 5 FROM generate_series(1, 25) g`,
  `INSERT INTO pets SELECT g % 20 + 1, g, 'p' || g, g / 4.0 FROM generate_series(1, 40) g`,
  `INSERT INTO logs SELECT g % 15, g, 'm' || g % 5, g % 4 FROM generate_series(0, 59) g`,
  `INSERT INTO plain SELECT g, 'v' || g % 3, g * 3 FROM generate_series(1, 12) g`,
];

/** Makes the texts; `value` writes one as a literal or as a parameter. */
export class DmlForms {
  readonly #dice: Dice;
  readonly #value: (value: number | string | null, type: string) => string;

  constructor(dice: Dice, value: (value: number | string | null, type: string) => string) {
    this.#dice = dice;
    this.#value = value;
  }

  next(): string {
    return this.#dice.pick([
      () => this.#insertDocs(),
      () => this.#insertDocs(),
      () => this.#updateDocs(),
      () => this.#updateDocs(),
      () => this.#updatePets(),
      () => this.#insertPets(),
      () => this.#owners(),
      () => this.#logs(),
      () => this.#logs(),
      () => this.#joined(),
      () => this.#joined(),
      () => this.#removals(),
      () => this.#withs(),
      () => this.#withs(),
      () => this.#beside(),
      () => this.#beside(),
      () => this.#merge(),
      () => this.#merge(),
      () => this.#plain(),
      () => this.#kinds(),
      () => this.#selects(),
    ])();
  }

  #int(from = 0, to = 9): string {
    return this.#value(this.#dice.between(from, to), 'int4');
  }

  #key(from = 1, to = 45): string {
    return this.#value(this.#dice.between(from, to), 'int8');
  }

  #text(): string {
    return this.#value(this.#dice.pick(['x', 'p3', 'p7', '', null]), 'text');
  }

  #where(key: string): string {
    const dice = this.#dice;
    const at = dice.between(0, 40);
    return dice.pick([
      () => `${key} = ${this.#key()}`,
      () => `${key} = ${this.#key()}`,
      () => `${key} IN (${at}, ${this.#key()}, ${at + 2})`,
      () => `${key} > ${this.#key()} AND ${key} % 2 = 0`,
      () => `${key} = ANY (ARRAY[${at}, ${at + 1}, NULL]::int8[])`,
      () => `(${key} = ${this.#key()} OR ${key} = ${at})`,
      () => `(${key} BETWEEN ${at} AND ${at + 5}) IS TRUE`,
      () => `NOT (${key} < ${at})`,
    ])();
  }

  #tell(target: string, columns: readonly string[], news = false): string {
    const dice = this.#dice;
    if (dice.chance(0.4)) return '';
    const [a, b] = [dice.pick(columns), dice.pick(columns)];
    return ` RETURNING ${dice.pick([
      `${target}.*`,
      `${a} AS a, ${b} IS NULL AS b`,
      ...(news
        ? [
            `old.${a} AS before, new.${a} AS after`,
            `old.${b} IS DISTINCT FROM new.${b} AS changed, ${a}`,
            `WITH (OLD AS o, NEW AS n) o.${a} AS oa, n.${b} AS nb`,
          ]
        : []),
      `count_nulls(${a})`.replace('count_nulls', 'num_nulls'),
    ])}`;
  }

  #insertDocs(): string {
    const dice = this.#dice;
    const rows = Array.from({ length: dice.pick([1, 1, 2, 5]) }, () => {
      const j = dice.pick([
        () => '\'{"a": 1}\'',
        () => 'DEFAULT',
        () => 'NULL',
        () => `jsonb_build_object('c', ${this.#int()})`,
      ])();
      const xs = dice.pick([
        () => 'ARRAY[1, 2]',
        () => "'{3,NULL}'",
        () => `ARRAY[${this.#int()}]`,
        () => 'NULL',
      ])();
      const s = dice.pick([
        () => this.#int(),
        () => '50',
        () => 'NULL',
        () => '5 * 3',
        () => (dice.chance(0.1) ? '51' : '4'),
      ])();
      return `(${this.#key(1, 60)}, ${j}, ${xs}, ${s}, ${dice.pick(["'sad'", 'DEFAULT', "'glad'::mood"])})`;
    });
    const conflict = dice.pick([
      () => '',
      () => ' ON CONFLICT DO NOTHING',
      () => ' ON CONFLICT (id) DO NOTHING',
      () => ' ON CONFLICT ON CONSTRAINT docs_pkey DO UPDATE SET s = excluded.s, at = DEFAULT',
      () =>
        ' ON CONFLICT (id) DO UPDATE SET j = docs.j || excluded.j, s = least(docs.s + 1, 50) WHERE docs.flag',
      () =>
        ' ON CONFLICT (id) DO UPDATE SET (xs, flag) = (excluded.xs || docs.xs[1], NOT docs.flag)',
      () =>
        ` ON CONFLICT (id) DO UPDATE SET s = ${this.#int()}, m = excluded.m WHERE docs.s IS DISTINCT FROM excluded.s`,
      () => ' ON CONFLICT (id) DO UPDATE SET (s, m) = ROW (excluded.s, DEFAULT)',
    ])();
    return `INSERT INTO docs (id, j, xs, s, m) VALUES ${rows.join(', ')}${conflict}${this.#tell('docs', ['s', 'm', 'xs', 'total', 'flag', 'j'], true)}`;
  }

  #updateDocs(): string {
    const dice = this.#dice;
    const set = dice.pick([
      () => `j = jsonb_set(coalesce(j, '{}'), '{a}', to_jsonb(${this.#int()}))`,
      () => `j['a'] = '7', xs[2] = ${this.#int()}`,
      () => `(s, flag) = (${this.#int()}, false)`,
      () =>
        `(s, m) = (SELECT count(*), max(p.name)::mood FROM pets p WHERE p.owner = docs.id AND p.num < 0)`,
      () =>
        `(s, xs) = (SELECT least(max(num), 50), array_agg(num ORDER BY num) FROM pets WHERE owner = docs.id AND num < 20)`,
      () => `s = DEFAULT, m = DEFAULT, j = DEFAULT`,
      () => `s = (SELECT max(id) FROM kinds WHERE id < docs.s)`,
      () => `s = CASE WHEN s > 3 THEN s - 1 WHEN flag THEN 1 END, xs = xs || 5`,
      () => `flag = EXISTS (SELECT 1 FROM owners o WHERE o.id = docs.id AND o.n > 1)`,
      () => `at = at + ${this.#int()}, xs = array_remove(xs, 5)`,
      () => `s = s + 40`,
      () => `id = id, s = 3`,
      () => `flag = NULL`,
      () => `s = (SELECT n FROM plain WHERE plain.id = docs.id) % 50`,
    ])();
    const where = dice.pick([
      () => this.#where('docs.id'),
      () => this.#where('docs.id'),
      () => `flag AND m > 'sad'`,
      () => `j @> '{"a": 2}'`,
      () => `${this.#int()} = ANY (xs)`,
      () => `id IN (SELECT owner FROM pets WHERE weight > 6)`,
      () => `id IN (SELECT num FROM pets WHERE owner = ${this.#key()})`,
      () => `EXISTS (SELECT FROM logs l WHERE l.k = docs.id AND l.n = ${this.#int(0, 3)})`,
      () => `id = (SELECT min(owner) FROM pets WHERE name = ${this.#text()})`,
      () => `(id, s) IN (SELECT o.id, o.n FROM owners o)`,
    ])();
    return `UPDATE docs SET ${set} WHERE ${where}${this.#tell('docs', ['s', 'm', 'xs', 'total', 'flag', 'j'], true)}`;
  }

  #insertPets(): string {
    const dice = this.#dice;
    const source = dice.pick([
      () => `VALUES (${this.#key(1, 27)}, ${this.#int(1, 60)}, ${this.#text()})`,
      () =>
        `VALUES (${this.#key(1, 25)}, ${this.#int(1, 60)}, 'n1'), (${this.#key(1, 25)}, ${this.#int(61, 90)}, 'n2')`,
      () =>
        `SELECT id, ${dice.between(60, 99)}, label || id FROM owners WHERE ${this.#where('id')}`,
      () =>
        `SELECT o.id, d.id + 100, d.m::text || d.id FROM owners o JOIN docs d ON d.s = o.n WHERE d.id < ${this.#int(2, 9)}`,
      () =>
        `SELECT num % 25 + 1, num + 200 + owner * 1000, name || num FROM pets WHERE ${this.#where('owner')}`,
      () =>
        `SELECT o.id, x.i, 'gen' || x.i FROM owners o CROSS JOIN generate_series(300, 301) AS x (i) WHERE o.n = 1`,
      () => `SELECT k % 20 + 1, 400 + min(day), max(msg) FROM logs GROUP BY k % 20`,
    ])();
    const conflict = dice.pick([
      () => '',
      () => ' ON CONFLICT DO NOTHING',
      () => ' ON CONFLICT (owner, num) DO UPDATE SET weight = pets.weight + 1',
      () =>
        ` ON CONFLICT (owner, name) DO UPDATE SET weight = coalesce(excluded.weight, 0) + ${this.#int()} WHERE pets.num < 50`,
      () => ' ON CONFLICT ON CONSTRAINT pets_owner_name_key DO NOTHING',
    ])();
    return `INSERT INTO pets (owner, num, name) ${source}${conflict}${this.#tell('pets', ['num', 'name', 'weight'], true)}`;
  }

  #updatePets(): string {
    const dice = this.#dice;
    const set = dice.pick([
      () => `weight = weight * 1.1`,
      () => `name = ${this.#text()}`,
      () => `weight = (SELECT avg(p.weight) FROM pets p WHERE p.owner = pets.owner)`,
      () => `weight = (SELECT max(weight) FROM pets)`,
      () => `name = 'u' || num, weight = DEFAULT`,
      () =>
        `(name, weight) = (SELECT o.label || pets.num, o.n FROM owners o WHERE o.id = pets.owner)`,
    ])();
    const where = dice.pick([
      () => this.#where('owner'),
      () => `(owner, num) = (${this.#key()}, ${this.#int(1, 40)})`,
      () => `owner = ${this.#key()} AND weight > (SELECT avg(weight) FROM pets)`,
      () =>
        `num IN (SELECT num FROM pets ORDER BY weight DESC NULLS LAST, num, owner LIMIT ${this.#int(1, 5)})`,
      () => `weight = (SELECT min(weight) FROM pets p WHERE p.owner = pets.owner)`,
      () => `name LIKE 'p%' AND owner < 9`,
    ])();
    return `UPDATE pets SET ${set} WHERE ${where}${this.#tell('pets', ['num', 'name', 'weight'], true)}`;
  }

  #owners(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `INSERT INTO owners VALUES (${this.#key(1, 60)}, ${this.#text()}, ${this.#int(0, 7)}, ${this.#int()})`,
      () =>
        `INSERT INTO owners (id) VALUES (${this.#key(20, 60)}) ON CONFLICT (id) DO UPDATE SET n = coalesce(owners.n, 0) + 1${this.#tell('owners', ['label', 'n', 'kind'], true)}`,
      () =>
        `UPDATE owners SET kind = ${this.#int(0, 7)} WHERE ${this.#where('id')}${this.#tell('owners', ['label', 'n', 'kind'], true)}`,
      () =>
        `UPDATE owners SET n = k.id, label = k.label FROM kinds k WHERE k.id = owners.kind AND ${this.#where('owners.id')}${this.#tell('owners', ['owners.label', 'k.label', 'n'])}`,
      () =>
        `UPDATE owners o SET n = s.c FROM (SELECT owner, count(*) AS c FROM pets GROUP BY owner) s WHERE s.owner = o.id${this.#tell('o', ['o.n', 's.c'])}`,
      () =>
        `DELETE FROM owners WHERE id = ${this.#key()}${this.#tell('owners', ['label', 'n'], true)}`,
      () =>
        `DELETE FROM owners WHERE NOT EXISTS (SELECT FROM pets WHERE pets.owner = owners.id) AND n = ${this.#int()}${this.#tell('owners', ['label', 'n'])}`,
      () =>
        `INSERT INTO owners SELECT id + 30, v, NULL, n FROM plain ON CONFLICT (id) DO UPDATE SET label = excluded.label || owners.id WHERE owners.n > ${this.#int()}${this.#tell('owners', ['label', 'n'], true)}`,
    ])();
  }

  #logs(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `INSERT INTO logs VALUES (${this.#key(0, 20)}, ${this.#int(0, 110)}, ${this.#text()}, ${this.#int()})${this.#tell('logs', ['day', 'msg', 'n'], true)}`,
      () =>
        `INSERT INTO logs SELECT k + 1, day, msg FROM logs WHERE day > ${this.#int(0, 80)} ON CONFLICT DO NOTHING${this.#tell('logs', ['day', 'msg', 'n'])}`,
      () =>
        `INSERT INTO logs (k, day, n) SELECT owner, num, 1 FROM pets WHERE num < 100 ON CONFLICT (k, day) DO UPDATE SET n = logs.n + 1, msg = excluded.msg${this.#tell('logs', ['day', 'msg', 'n'], true)}`,
      () => `UPDATE logs SET day = day + 100 WHERE ${this.#where('k')} AND day < 0`,
      () =>
        `UPDATE logs SET day = 99 - day, n = ${this.#int()} WHERE k = ${this.#key(0, 14)} AND day = ${this.#int(0, 49)}${this.#tell('logs', ['day', 'msg', 'n'], true)}`,
      () =>
        `UPDATE logs SET msg = msg || ${this.#text()}, n = n - 1 WHERE ${this.#where('k')}${this.#tell('logs', ['day', 'msg', 'n'], true)}`,
      () =>
        `DELETE FROM logs WHERE day BETWEEN ${dice.between(0, 90)} AND 95 AND n < ${this.#int(0, 4)}${this.#tell('logs', ['day', 'msg', 'n'])}`,
      () =>
        `UPDATE logs SET k = ${this.#key(0, 30)} WHERE k = ${this.#key(0, 14)} AND day = ${this.#int(0, 59)}${this.#tell('logs', ['day', 'msg', 'n', 'k'])}`,
    ])();
  }

  #joined(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `UPDATE docs d SET s = least(x.c, 50), at = at + 1 FROM (SELECT p.num, count(*)::int4 AS c FROM pets p JOIN owners o ON o.id = p.owner WHERE o.n < ${this.#int()} GROUP BY p.num) x WHERE x.num = d.id${this.#tell('d', ['d.s', 'x.c', 'd.total'])}`,
      () =>
        `UPDATE docs SET s = o.n FROM owners o LEFT JOIN kinds k ON k.id = o.kind WHERE o.id = docs.id AND k.label IS ${dice.pick(['', 'NOT '])}NULL${this.#tell('docs', ['docs.s', 'o.label', 'k.label'])}`,
      () =>
        `UPDATE pets SET weight = l.n + 0.25 FROM logs l WHERE l.k = pets.owner AND l.day = pets.num${this.#tell('pets', ['pets.name', 'l.msg', 'l.day'])}`,
      () =>
        `UPDATE plain SET v = (SELECT string_agg(name, ',' ORDER BY num, owner) FROM pets WHERE num % 12 = plain.id) WHERE ${this.#where('id')}${this.#tell('plain', ['v', 'n'], true)}`,
      () =>
        `UPDATE plain p SET n = o.n FROM owners o WHERE o.id = p.id AND o.n > ${this.#int(0, 3)}${this.#tell('p', ['p.v', 'o.label'])}`,
      () =>
        `UPDATE owners SET (label, n) = (SELECT p.v, p.n FROM plain p WHERE p.id = owners.id) WHERE ${this.#where('owners.id')}${this.#tell('owners', ['label', 'n'], true)}`,
      () =>
        `UPDATE owners SET n = (SELECT sum(l.n) FROM logs l JOIN docs d ON d.id = l.k WHERE l.day % 25 = owners.id) WHERE ${this.#where('owners.id')}${this.#tell('owners', ['label', 'n'], true)}`,
      () =>
        `UPDATE docs SET flag = (docs.id IN (SELECT num FROM pets)) WHERE ${this.#where('docs.id')}`,
      () =>
        `WITH big AS (SELECT owner FROM pets GROUP BY owner HAVING count(*) > 1) UPDATE owners SET n = 9 WHERE id IN (SELECT owner FROM big)${this.#tell('owners', ['label', 'n'], true)}`,
      () =>
        `WITH ranked AS (SELECT owner, num, row_number() OVER (ORDER BY weight, owner, num) AS r FROM pets) UPDATE pets SET weight = ranked.r FROM ranked WHERE ranked.owner = pets.owner AND ranked.num = pets.num AND ranked.r < ${this.#int(3, 9)}${this.#tell('pets', ['pets.num', 'ranked.r'])}`,
    ])();
  }

  #removals(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `DELETE FROM pets USING docs d WHERE d.id = pets.num AND d.s = ${this.#int()}${this.#tell('pets', ['pets.name', 'd.j'])}`,
      () =>
        `DELETE FROM pets USING owners o, kinds k WHERE o.id = pets.owner AND k.id = o.kind AND k.label = 'k${dice.between(0, 5)}' AND pets.num > 20${this.#tell('pets', ['pets.name', 'k.label', 'o.n'])}`,
      () =>
        `DELETE FROM logs l WHERE (k, day) IN (SELECT owner, num FROM pets WHERE weight < ${this.#int()})${this.#tell('l', ['l.day', 'l.msg'])}`,
      () =>
        `DELETE FROM docs WHERE id = (SELECT max(id) FROM docs)${this.#tell('docs', ['s', 'flag'], true)}`,
      () =>
        `DELETE FROM docs WHERE id NOT IN (SELECT owner FROM pets WHERE owner IS NOT NULL) AND id % 7 = ${this.#int(0, 6)}${this.#tell('docs', ['s', 'flag'])}`,
      () =>
        `DELETE FROM plain WHERE id IN (SELECT s FROM docs WHERE NOT flag)${this.#tell('plain', ['v', 'n'])}`,
      () =>
        `DELETE FROM pets WHERE (owner, num) IN (SELECT owner, num FROM pets ORDER BY weight NULLS FIRST, owner, num LIMIT ${this.#int(0, 3)})${this.#tell('pets', ['name', 'num'])}`,
      () =>
        `DELETE FROM pets p WHERE EXISTS (SELECT 1 FROM pets q WHERE q.name = p.name AND (q.owner, q.num) < (p.owner, p.num))${this.#tell('p', ['p.name', 'p.num'])}`,
    ])();
  }

  #withs(): string {
    const dice = this.#dice;
    const at = dice.between(100, 400);
    return dice.pick([
      () =>
        `WITH u AS (UPDATE docs SET s = 1 WHERE ${this.#where('docs.id')} RETURNING id, s) SELECT count(*), sum(id) FROM u`,
      () =>
        `WITH u AS (UPDATE docs SET s = 1 WHERE ${this.#where('docs.id')} RETURNING id) SELECT u.id, o.label FROM u LEFT JOIN owners o ON o.id = u.id`,
      () =>
        `WITH n AS (INSERT INTO owners (id, label) VALUES (${at}, 'w') ON CONFLICT DO NOTHING RETURNING id) INSERT INTO plain (id, v) SELECT id, 'from with' FROM n ON CONFLICT DO NOTHING RETURNING *`,
      () =>
        `WITH d AS (DELETE FROM pets WHERE ${this.#where('owner')} RETURNING *), c AS (SELECT owner, count(*) AS c FROM d GROUP BY owner) SELECT * FROM c`,
      () =>
        `WITH d AS (DELETE FROM logs WHERE ${this.#where('k')} RETURNING k, day, msg) INSERT INTO docs (id, j) SELECT k + ${at}, to_jsonb(max(msg)) FROM d GROUP BY k ON CONFLICT DO NOTHING RETURNING id, j`,
      () =>
        `WITH u AS (UPDATE docs SET s = s + 1 WHERE ${this.#where('docs.id')} RETURNING id, s) SELECT u.id, u.s, d.s AS old, (SELECT count(*) FROM docs WHERE s > 1) FROM u JOIN docs d ON d.id = u.id`,
      () =>
        `WITH d AS (DELETE FROM pets WHERE ${this.#where('owner')} RETURNING owner, num) SELECT count(*), (SELECT count(*) FROM pets), (SELECT sum(num) FROM pets p WHERE p.owner IN (SELECT owner FROM d)) FROM d`,
      () =>
        `WITH n AS (INSERT INTO owners (id, label) VALUES (${at}, 'w') ON CONFLICT DO NOTHING RETURNING id) SELECT o.label, n.id FROM n FULL JOIN owners o ON o.id = n.id`,
      () =>
        `WITH a AS (INSERT INTO plain VALUES (${at}, 'a', 1) ON CONFLICT DO NOTHING RETURNING id), b AS (UPDATE owners SET n = 77 WHERE ${this.#where('owners.id')} RETURNING id) SELECT (SELECT count(*) FROM a), (SELECT sum(id) FROM b)`,
      () =>
        `WITH b AS (UPDATE owners SET n = n + 1 WHERE ${this.#where('owners.id')} RETURNING id, n), c AS (UPDATE plain SET n = b.n FROM b WHERE b.id = plain.id RETURNING plain.id) SELECT id FROM c`,
      () =>
        `WITH b AS (DELETE FROM plain WHERE ${this.#where('id')} RETURNING *) UPDATE docs SET j = to_jsonb(b.v) FROM b WHERE b.id = docs.id RETURNING docs.id, b.v`,
      () =>
        `WITH b AS (DELETE FROM plain WHERE ${this.#where('id')} RETURNING *) DELETE FROM pets USING b WHERE b.id = pets.num RETURNING pets.owner, b.id`,
      () =>
        `WITH x AS (SELECT max(num) AS m FROM pets) INSERT INTO plain SELECT ${at} + m, 'x', m FROM x WHERE m IS NOT NULL ON CONFLICT (id) DO UPDATE SET v = plain.v || 'y' RETURNING id, v`,
    ])();
  }

  /** Parts that change one table, reference tables, or what others refer to. */
  #beside(): string {
    const dice = this.#dice;
    const at = dice.between(40, 400);
    return dice.pick([
      () =>
        `WITH a AS (UPDATE owners SET n = n - 1 WHERE id = ${this.#key()} RETURNING id, n), b AS (UPDATE owners SET n = n + 1 WHERE id IN (${this.#key()}, ${this.#key()}) RETURNING id, n) SELECT a.id, b.id, a.n, b.n FROM a FULL JOIN b ON false`,
      () =>
        `WITH a AS (UPDATE docs SET s = s - 1 WHERE id = ${this.#key()} RETURNING s) UPDATE docs SET s = docs.s + 1 FROM a WHERE docs.id = ${this.#key()} AND a.s >= 0 RETURNING docs.id, docs.s, a.s`,
      () =>
        `WITH d AS (DELETE FROM docs WHERE ${this.#where('docs.id')} RETURNING id, s, j) INSERT INTO docs (id, s, j) SELECT id + ${at}, s, j FROM d RETURNING id, s, total`,
      () =>
        `WITH d AS (DELETE FROM docs WHERE ${this.#where('docs.id')} RETURNING *) INSERT INTO docs (id, s, flag) SELECT id, 3, flag FROM d`,
      () =>
        `WITH u AS (UPDATE docs SET s = 2 WHERE ${this.#where('docs.id')} RETURNING id) INSERT INTO docs (id, s) SELECT x, 1 FROM generate_series(${at}, ${at + 3}) x WHERE x NOT IN (SELECT id FROM u) ORDER BY x RETURNING id`,
      () =>
        `WITH d AS (DELETE FROM logs WHERE ${this.#where('k')} RETURNING *) INSERT INTO logs SELECT k + ${dice.between(0, 30)}, day, msg, n FROM d RETURNING k, day`,
      () =>
        `WITH d AS (DELETE FROM pets WHERE ${this.#where('owner')} RETURNING *), i AS (INSERT INTO pets SELECT owner, num + ${at}, name FROM d RETURNING num) SELECT count(*), min(num) FROM i`,
      () =>
        `WITH c AS (UPDATE kinds SET label = label || 'x' WHERE id = ${this.#int(0, 7)} RETURNING *) SELECT c.id, c.label, o.id, (SELECT count(*) FROM kinds WHERE label LIKE '%x') FROM c LEFT JOIN owners o ON o.kind = c.id`,
      () =>
        `WITH c AS (INSERT INTO kinds VALUES (${this.#int(6, 9)}, 'n${at}') ON CONFLICT (id) DO NOTHING RETURNING id) INSERT INTO plain (id, v) SELECT id + ${at}, 'kind' FROM c ON CONFLICT DO NOTHING RETURNING *`,
      () =>
        `WITH d AS (DELETE FROM owners WHERE ${this.#where('id')} RETURNING *) INSERT INTO plain (id, v) SELECT id + ${at}, label FROM d ON CONFLICT DO NOTHING RETURNING id`,
      () =>
        `WITH p AS (DELETE FROM pets WHERE ${this.#where('owner')} RETURNING owner), o AS (DELETE FROM owners WHERE ${this.#where('id')} RETURNING id) SELECT (SELECT count(*) FROM p), (SELECT sum(id) FROM o)`,
      () =>
        `WITH e AS (UPDATE docs SET s = 4 WHERE id IN (SELECT owner FROM pets WHERE num > ${this.#int(0, 40)}) RETURNING id), p AS (DELETE FROM pets WHERE ${this.#where('owner')} RETURNING num) SELECT (SELECT count(*) FROM e), (SELECT count(*) FROM p)`,
      () =>
        `WITH d AS (DELETE FROM owners WHERE ${this.#where('id')} RETURNING id, n) SELECT d.id, l.day FROM d JOIN logs l ON l.k = d.id`,
      () =>
        `MERGE INTO pets t USING (SELECT s AS k, min(id) AS v FROM docs GROUP BY s) s ON t.num = s.k WHEN MATCHED AND s.v > ${this.#int()} THEN UPDATE SET weight = s.v WHEN MATCHED THEN DELETE RETURNING merge_action(), t.owner, t.num, s.v`,
      () =>
        `MERGE INTO logs t USING plain s ON t.day = s.id WHEN MATCHED THEN UPDATE SET msg = s.v, n = t.n + ${this.#int()} RETURNING t.k, t.msg, s.id`,
    ])();
  }

  #merge(): string {
    const dice = this.#dice;
    const at = dice.between(1, 40);
    const source = dice.pick([
      () => `(VALUES (${at}::int8, 3, 'm'), (${at + 20}, ${this.#int()}, NULL)) AS s (k, v, t)`,
      () =>
        `(SELECT id + ${dice.between(0, 9)} AS k, n AS v, label AS t FROM owners WHERE ${this.#where('id')}) AS s`,
      () => `(SELECT owner AS k, count(*)::int4 AS v, max(name) AS t FROM pets GROUP BY owner) s`,
      () => `(SELECT id::int8 AS k, n::int4 AS v, v AS t FROM plain) s`,
      () =>
        `(SELECT o.id AS k, k.id AS v, k.label AS t FROM owners o JOIN kinds k ON k.id = o.kind) s`,
    ])();
    const [table, key] = dice.pick([
      ['docs', 'id'],
      ['owners', 'id'],
      ['plain', 'id'],
      ['kinds', 'id'],
    ] as const);
    const set = {
      docs: dice.pick([
        's = s.v % 50',
        'j = to_jsonb(s.t), s = DEFAULT',
        '(s, flag) = (s.v % 9, false)',
      ]),
      owners: dice.pick(['label = s.t', 'n = t.n + s.v, label = t.label || s.k']),
      plain: 'v = s.t, n = s.k',
      kinds: "label = 'm' || t.id",
    }[table];
    const insert = {
      docs: dice.pick([
        '(id, s) VALUES (s.k, s.v % 50)',
        '(id, j, s) VALUES (s.k, to_jsonb(s.t), DEFAULT)',
      ]),
      owners: '(id, label, n) VALUES (s.k, s.t, s.v)',
      plain: '(id, v) VALUES (s.k, s.t)',
      kinds: "VALUES (s.k, 'i' || s.k)",
    }[table];
    const lost = {
      docs: 'flag = false',
      owners: 'n = 50',
      plain: 'n = -1',
      kinds: "label = 'none' || t.id",
    }[table];
    const when = [
      dice.pick([
        '',
        ' WHEN MATCHED AND s.v > 3 THEN DELETE',
        ' WHEN MATCHED AND s.v = 3 THEN DO NOTHING',
      ]),
      dice.pick(['', ` WHEN MATCHED THEN UPDATE SET ${set}`]),
      dice.pick([
        '',
        ` WHEN NOT MATCHED BY SOURCE AND t.${key} % 5 = 0 THEN DELETE`,
        ` WHEN NOT MATCHED BY SOURCE AND t.${key} % 3 = 1 THEN UPDATE SET ${lost}`,
      ]),
      dice.pick([' WHEN NOT MATCHED AND s.v IS NULL THEN DO NOTHING', '']),
      dice.pick([
        ` WHEN NOT MATCHED THEN INSERT ${insert}`,
        ' WHEN NOT MATCHED BY TARGET THEN DO NOTHING',
      ]),
    ].join('');
    const returning = dice.pick([
      '',
      ` RETURNING merge_action(), t.${key}, s.v`,
      ` RETURNING merge_action() AS act, old.${key} AS o, new.${key} AS n, s.t`,
      ' RETURNING t.*',
    ]);
    // A row that goes may stand in the way of one that comes: which is first is not defined.
    const and = when.includes('BY SOURCE') ? '' : dice.pick(['', ' AND s.v > 1']);
    return `MERGE INTO ${table} t USING ${source} ON t.${key} = s.k${and}${when}${returning}`;
  }

  #plain(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `INSERT INTO plain SELECT s, string_agg(m::text, ',' ORDER BY id), count(*) FROM docs WHERE s IS NOT NULL GROUP BY s ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = plain.n + excluded.n${this.#tell('plain', ['v', 'n'], true)}`,
      () =>
        `INSERT INTO plain (id, n) VALUES (${this.#int(1, 30)}, (SELECT count(*) FROM pets)) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n`,
      () =>
        `UPDATE plain SET n = n + 1, v = ${this.#text()} WHERE ${this.#where('id')}${this.#tell('plain', ['v', 'n'], true)}`,
      () =>
        `DELETE FROM plain WHERE n > (SELECT avg(num) FROM pets)${this.#tell('plain', ['v', 'n'], true)}`,
    ])();
  }

  #kinds(): string {
    const dice = this.#dice;
    return dice.pick([
      () =>
        `INSERT INTO kinds VALUES (${this.#int(0, 9)}, 'k' || ${this.#int(0, 9)}) ON CONFLICT (id) DO UPDATE SET label = excluded.label || 'c'${this.#tell('kinds', ['label', 'id'], true)}`,
      () =>
        `INSERT INTO kinds SELECT n + 10, min(label) || 'n' || n FROM owners WHERE n IS NOT NULL GROUP BY n ON CONFLICT DO NOTHING${this.#tell('kinds', ['label', 'id'])}`,
      () =>
        `UPDATE kinds SET label = label || id WHERE ${this.#where('id')}${this.#tell('kinds', ['label', 'id'], true)}`,
      () =>
        `DELETE FROM kinds WHERE id = ${this.#int(4, 15)}${this.#tell('kinds', ['label', 'id'])}`,
      () =>
        `UPDATE kinds SET label = left(upper(label), 9) WHERE id IN (1, 2) RETURNING old.label, new.label, id`,
      () =>
        `UPDATE kinds SET label = 'c' || (SELECT count(*) FROM owners WHERE kind = kinds.id) || id`,
    ])();
  }

  /** What must see all that its transaction has written. */
  #selects(): string {
    const dice = this.#dice;
    return dice.pick([
      () => `SELECT * FROM docs WHERE ${this.#where('docs.id')} ORDER BY id FOR UPDATE`,
      () =>
        `SELECT p.name, o.label FROM pets p JOIN owners o ON o.id = p.owner WHERE ${this.#where('o.id')} FOR UPDATE OF p`,
      () => `SELECT id, s FROM docs WHERE ${this.#where('docs.id')} FOR NO KEY UPDATE`,
      () => `SELECT id FROM owners WHERE n > ${this.#int()} ORDER BY n, id FOR SHARE`,
      () => `SELECT count(*), sum(s), bool_and(flag) FROM docs WHERE ${this.#where('docs.id')}`,
      () =>
        `SELECT o.id, count(p.num) FROM owners o LEFT JOIN pets p ON p.owner = o.id GROUP BY o.id ORDER BY 2 DESC, 1 LIMIT 5`,
    ])();
  }
}

import type { Dice } from './chaos-random.js';
import { DmlForms, formRows, formSchema, formTables } from './dml-forms.js';
import { throughViews, viewSchema } from './dml-views.js';

/**
 * Random statements that write: half of them over four small tables, `accounts` and `lines` sharded by
 * the same key, the reference table `regions`, and `notes` of another keyspace; half in further forms
 * (dml-forms.ts). Each has one right outcome: LIMIT stands behind a total order only.
 */
export interface DmlStatement {
  readonly sql: string;
  /** Undefined: the simple protocol. */
  readonly params: readonly unknown[] | undefined;
  /** RETURNING has an order. */
  readonly ordered: boolean;
  /** It may fail in several ways, of which one comes first. */
  readonly failsAnyhow: boolean;
}

export const dmlTables: readonly string[] = [
  'accounts',
  'lines',
  'regions',
  'notes',
  ...formTables,
];

export const dmlSchema: readonly string[] = [
  'CREATE TABLE accounts (id int8 PRIMARY KEY, name text, n int4, amount numeric(8,2))',
  'CREATE TABLE lines (acc int8, pos int4, tag varchar(20), qty int4, PRIMARY KEY (acc, pos))',
  'CREATE TABLE regions (id int4 PRIMARY KEY, label text)',
  'CREATE TABLE notes (id int4 PRIMARY KEY, body text, acc int8)',
  `INSERT INTO accounts SELECT g, 'a' || g % 7, nullif(g % 5, 0), g * 1.25 FROM generate_series(1, 40) g`,
  `INSERT INTO lines SELECT g % 20 + 1, g, 't' || g % 3, g % 4 FROM generate_series(1, 60) g`,
  `INSERT INTO regions SELECT g, 'r' || g FROM generate_series(0, 6) g`,
  `INSERT INTO notes SELECT g, 'n' || g, g * 2 FROM generate_series(1, 15) g`,
  ...formSchema,
  ...formRows,
  ...viewSchema,
];

/** Writes values as literals, or as parameters where the statement has some. */
export class Values {
  readonly params: unknown[] = [];
  readonly extended: boolean;

  constructor(extended: boolean) {
    this.extended = extended;
  }

  /** Undefined: there are none. */
  get given(): readonly unknown[] | undefined {
    return this.params.length > 0 ? this.params : undefined;
  }

  of(value: number | string | null, type: string): string {
    if (this.extended) {
      this.params.push(value);
      return `$${this.params.length}::${type}`;
    }
    if (value === null) return 'NULL';
    return typeof value === 'number' ? String(value) : `'${value}'`;
  }
}

/** Makes statements; one for each kind of writing, with all its clauses at random. */
export class DmlGrammar {
  readonly #dice: Dice;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  next(): DmlStatement {
    const made = this.#make();
    return { ...made, sql: throughViews(made.sql, this.#dice) };
  }

  #make(): DmlStatement {
    const dice = this.#dice;
    const values = new Values(dice.chance(0.5));
    if (dice.chance(0.5)) return this.#form(values);
    const make = dice.pick([
      () => this.#insertValues(values),
      () => this.#insertValues(values),
      () => this.#insertSelect(values),
      () => this.#insertSelect(values),
      () => this.#insertElsewhere(values),
      () => this.#update(values),
      () => this.#delete(values),
      () => this.#updateByOthers(values),
      () => this.#deleteByOthers(values),
      () => this.#move(values),
      () => this.#changesInWith(values),
      () => this.#merge(values),
    ]);
    const { sql, ordered } = make();
    return { sql, ordered, params: values.given, failsAnyhow: false };
  }

  /** Several in one text too, where it has no parameters. */
  #form(values: Values): DmlStatement {
    const forms = new DmlForms(this.#dice, (value, type) => values.of(value, type));
    const sql = forms.next();
    const params = values.given;
    const more = !values.extended && this.#dice.chance(0.1) ? `; ${forms.next()}` : '';
    return { sql: sql + more, ordered: false, params, failsAnyhow: true };
  }

  #insertValues(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const rows = Array.from({ length: dice.pick([1, 1, 2, 3, 7]) }, () => {
      const key = this.#newKey(values);
      const n = dice.pick([() => this.#int(values), () => '1 + 2', () => 'NULL'])();
      return `(${key}, ${this.#name(values)}, ${n}, ${dice.pick(['1.5', '2', 'DEFAULT', '10 / 4.0'])})`;
    });
    const conflict = dice.pick([
      '',
      '',
      ' ON CONFLICT DO NOTHING',
      ' ON CONFLICT (id) DO NOTHING',
      ' ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = accounts.n + 1',
      ' ON CONFLICT (id) DO UPDATE SET amount = accounts.amount + 1 WHERE accounts.n > 2',
    ]);
    return {
      sql: `INSERT INTO accounts VALUES ${rows.join(', ')}${conflict}${this.#returning('accounts')}`,
      ordered: true,
    };
  }

  /** Into a sharded table, from anywhere. */
  #insertSelect(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const step = dice.pick([0, 1, 50, 100]);
    const intoAccounts = dice.pick([
      () =>
        `SELECT id + ${step}, name, n, amount FROM accounts WHERE ${this.#filter('id', values)}`,
      () => `SELECT acc + ${step}, max(tag), count(*), sum(qty) FROM lines GROUP BY acc`,
      () => `SELECT r.id + ${step}, r.label, ${this.#int(values)}, 1 FROM regions r`,
      () =>
        `SELECT n.id + ${step}, n.body, a.n, a.amount FROM notes n JOIN accounts a ON a.id = n.id`,
      () => `SELECT g, 'g', g % 3, NULL FROM generate_series(${dice.between(1, 60)}, 60) g`,
      () => `SELECT DISTINCT a.id * 2, 'd', 1, 1.5 FROM accounts a JOIN lines l ON l.qty = a.n`,
    ]);
    const intoLines = dice.pick([
      () =>
        `SELECT id, ${dice.between(61, 90)}, name, n FROM accounts WHERE ${this.#filter('id', values)}`,
      () =>
        `SELECT acc, pos + ${dice.between(100, 200)}, tag, qty FROM lines WHERE ${this.#filter('acc', values)}`,
      () => `SELECT pos, acc, tag, qty FROM lines`,
      () =>
        `SELECT a.id, l.pos + 300, l.tag, a.n FROM accounts a JOIN lines l ON l.acc = a.id WHERE ${this.#filter('a.id', values)}`,
      () =>
        `WITH top AS (SELECT id, n FROM accounts ORDER BY amount DESC NULLS LAST, id LIMIT 6) SELECT id, 400 + n, 'top', n FROM top WHERE n IS NOT NULL`,
      () => `SELECT id, ${dice.between(500, 520)}, body, acc FROM notes`,
    ]);
    const isLines = dice.chance(0.5);
    const conflict = dice.pick(['', ' ON CONFLICT DO NOTHING', ' ON CONFLICT DO NOTHING']);
    const [table, query] = isLines ? ['lines', intoLines()] : ['accounts', intoAccounts()];
    const sql = `INSERT INTO ${table} ${query}${conflict}${this.#returning(table)}`;
    return { sql, ordered: false };
  }

  /** Into a reference table or one of another keyspace. */
  #insertElsewhere(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const at = dice.between(7, 30);
    const [table, query] = dice.pick<readonly [string, () => string]>([
      ['regions', () => `SELECT ${at} + n, max(name) FROM accounts WHERE n IS NOT NULL GROUP BY n`],
      ['regions', () => `VALUES (${at}, ${this.#name(values)}), (${at + 1}, upper('x'))`],
      ['regions', () => `SELECT id + ${at}, body FROM notes WHERE id < 4`],
      [
        'notes',
        () => `SELECT id + ${at}, name, n FROM accounts WHERE ${this.#filter('id', values)}`,
      ],
      ['notes', () => `SELECT ${at}, count(*)::text, max(acc) FROM lines`],
      ['notes', () => `VALUES (${at}, ${this.#name(values)}, (SELECT max(id) FROM accounts))`],
    ]);
    const conflict = dice.pick([
      ' ON CONFLICT DO NOTHING',
      ` ON CONFLICT (id) DO UPDATE SET id = ${table}.id`,
    ]);
    return {
      sql: `INSERT INTO ${table} ${query()}${conflict}${this.#returning(table)}`,
      ordered: false,
    };
  }

  #merge(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const at = dice.between(1, 50);
    const using = dice.pick([
      () => `(SELECT acc AS k, sum(qty) AS v, max(tag) AS t FROM lines GROUP BY acc)`,
      () => `(VALUES (${at}, 3, 'm'), (${at + 60}, ${this.#int(values)}, NULL)) `,
      () =>
        `(SELECT id + ${at} AS k, n AS v, name AS t FROM accounts WHERE ${this.#filter('id', values)})`,
      () => `(SELECT id, length(body), body FROM notes)`,
    ])();
    const [table, key] = dice.pick([
      ['accounts', 'id'],
      ['accounts', 'id'],
      ['notes', 'id'],
      ['regions', 'id'],
    ] as const);
    const set = { accounts: 'n = s.v, name = s.t', notes: 'body = s.t', regions: 'label = s.t' }[
      table
    ];
    const insert = {
      accounts: '(id, n, name) VALUES (s.k, s.v, s.t)',
      notes: '(id, body) VALUES (s.k, s.t)',
      regions: '(id, label) VALUES (s.k, s.t)',
    }[table];
    const matched = dice.pick([
      ` WHEN MATCHED AND s.v > 2 THEN DELETE WHEN MATCHED THEN UPDATE SET ${set}`,
      ` WHEN MATCHED AND s.t IS NULL THEN DO NOTHING WHEN MATCHED THEN UPDATE SET ${set}`,
      '',
    ]);
    const missing = dice.pick([
      ` WHEN NOT MATCHED THEN INSERT ${insert}`,
      ' WHEN NOT MATCHED THEN DO NOTHING',
    ]);
    const returning = dice.pick(['', ` RETURNING merge_action(), t.${key}, s.v`]);
    const on = dice.pick([`t.${key} = s.k`, `s.k = t.${key} AND s.v IS NOT NULL`]);
    return {
      sql: `MERGE INTO ${table} t USING ${using} AS s (k, v, t) ON ${on}${matched}${missing}${returning}`,
      ordered: false,
    };
  }

  #update(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const [table, key, set] = dice.pick<readonly [string, string, () => string]>([
      ['accounts', 'id', () => `amount = amount + ${this.#int(values)}`],
      ['accounts', 'id', () => `name = ${this.#name(values)}, n = coalesce(n, 0) + 1`],
      ['lines', 'acc', () => `qty = qty * 2, tag = left(tag || 'x', 20)`],
      ['regions', 'id', () => `label = label || ${this.#name(values)}`],
      ['notes', 'id', () => `body = ${this.#name(values)}`],
    ]);
    const where = ` WHERE ${this.#filter(key, values)}`;
    return { sql: `UPDATE ${table} SET ${set()}${where}${this.#returning(table)}`, ordered: false };
  }

  #delete(values: Values): { sql: string; ordered: boolean } {
    const [table, key] = this.#dice.pick([
      ['accounts', 'id'],
      ['accounts', 'id'],
      ['lines', 'acc'],
      ['lines', 'acc'],
      ['regions', 'id'],
      ['notes', 'id'],
    ] as const);
    const where = ` WHERE ${this.#filter(key, values)}`;
    return { sql: `DELETE FROM ${table}${where}${this.#returning(table)}`, ordered: false };
  }

  /** What rows of other shards and keyspaces say. No row has two answers. */
  #updateByOthers(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const sql = dice.pick([
      () =>
        `UPDATE accounts a SET amount = x.q FROM (SELECT pos, max(qty) AS q FROM lines GROUP BY pos) x WHERE x.pos = a.id${this.#returning('a')}`,
      () =>
        `UPDATE accounts SET n = (SELECT count(*) FROM lines WHERE pos = accounts.id) WHERE ${this.#filter('id', values)}${this.#returning('accounts')}`,
      () =>
        `UPDATE lines SET tag = left((SELECT min(body) FROM notes WHERE notes.acc = lines.acc), 20) WHERE ${this.#filter('acc', values)}`,
      () =>
        `UPDATE notes SET body = (SELECT max(name) FROM accounts WHERE n < ${this.#int(values)}), acc = a.n FROM accounts a WHERE a.id = notes.id RETURNING notes.*, a.name`,
      () =>
        `UPDATE accounts SET (name, n) = (SELECT max(label), min(id) FROM regions r JOIN notes n USING (id) WHERE n.acc > accounts.id) WHERE ${this.#filter('id', values)}`,
    ])();
    return { sql, ordered: false };
  }

  #deleteByOthers(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const sql = dice.pick([
      () => `DELETE FROM lines USING notes n WHERE n.id = lines.pos RETURNING lines.*, n.body`,
      () =>
        `DELETE FROM accounts WHERE id IN (SELECT pos FROM lines ORDER BY qty DESC NULLS LAST, acc, pos LIMIT ${values.of(dice.between(0, 4), 'int8')})${this.#returning('accounts')}`,
      () =>
        `DELETE FROM notes WHERE acc NOT IN (SELECT id FROM accounts) AND id % 3 = ${this.#int(values)}`,
      () =>
        `DELETE FROM lines WHERE qty > (SELECT avg(n) FROM accounts) AND ${this.#filter('acc', values)}${this.#returning('lines')}`,
      () =>
        `DELETE FROM accounts a WHERE NOT EXISTS (SELECT FROM lines l WHERE l.pos = a.id) AND ${this.#filter('a.id', values)}`,
    ])();
    return { sql, ordered: false };
  }

  /** New shard keys. */
  #move(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const [at, to] = [dice.between(1, 60), dice.between(1, 200)];
    const sql = dice.pick([
      () =>
        `UPDATE accounts SET id = ${values.of(to, 'int8')}, name = ${this.#name(values)} WHERE id = ${values.of(at, 'int8')}${this.#returning('accounts')}`,
      () =>
        `UPDATE accounts SET id = id + ${dice.pick([0, 100, 200])}, n = n + 1 WHERE ${this.#filter('id', values)}${this.#returning('accounts')}`,
      () =>
        `UPDATE lines SET acc = ${values.of(to, 'int8')} WHERE acc = ${values.of(at % 20, 'int8')} AND qty > 0${this.#returning('lines')}`,
      () =>
        `UPDATE lines SET acc = acc + pos, tag = ${this.#name(values)} WHERE ${this.#filter('acc', values)}`,
      () => `UPDATE accounts SET id = ${to}, amount = n + 12345678.9 WHERE id = ${at}`,
    ])();
    return { sql, ordered: false };
  }

  #changesInWith(values: Values): { sql: string; ordered: boolean } {
    const dice = this.#dice;
    const removed = `WITH d AS (DELETE FROM lines WHERE ${this.#filter('acc', values)} RETURNING *)`;
    const sql = dice.pick([
      () => `${removed} SELECT count(*), sum(qty), max(tag) FROM d`,
      () =>
        `${removed} SELECT d.acc, d.pos, r.label FROM d LEFT JOIN regions r ON r.id = d.pos % 7`,
      () =>
        `${removed} INSERT INTO notes SELECT 1000 + pos, max(tag), max(acc) FROM d GROUP BY pos ON CONFLICT DO NOTHING RETURNING id`,
      () =>
        `${removed} INSERT INTO accounts (id, name) SELECT pos, max(tag) FROM d GROUP BY pos ON CONFLICT DO NOTHING`,
      () =>
        `WITH u AS (UPDATE accounts SET n = ${this.#int(values)} WHERE id % 3 = 1 RETURNING id, amount) UPDATE notes SET body = u.amount::text FROM u WHERE u.id = notes.id RETURNING notes.id, u.amount`,
    ])();
    return { sql, ordered: false };
  }

  #newKey(values: Values): string {
    const dice = this.#dice;
    const key = dice.between(1, 120);
    return dice.pick([
      () => values.of(key, 'int8'),
      () => values.of(key, 'int8'),
      () => String(key),
      () => `${key} + 1`,
      () => `abs(${values.of(-key, 'int8')})`,
      () => `(SELECT max(id) + ${key} FROM regions)`,
    ])();
  }

  #filter(key: string, values: Values): string {
    const dice = this.#dice;
    const at = dice.between(1, 60);
    return dice.pick([
      () => `${key} = ${values.of(at, 'int8')}`,
      () => `${key} IN (${at}, ${values.of(at + 3, 'int8')}, ${at + 4})`,
      () => `${key} BETWEEN ${at} AND ${at + 8}`,
      () => `${key} % 9 = ${values.of(at % 9, 'int8')}`,
    ])();
  }

  #int(values: Values): string {
    return values.of(this.#dice.between(0, 9), 'int4');
  }

  #name(values: Values): string {
    return values.of(this.#dice.pick(['x', 'yy', '', null]), 'text');
  }

  #returning(table: string): string {
    const dice = this.#dice;
    if (dice.chance(0.5)) return '';
    const own = table === 'lines' ? 'acc + pos AS s, tag' : 'id, id % 3 AS r';
    return ` RETURNING ${dice.pick(['*', own])}`;
  }
}

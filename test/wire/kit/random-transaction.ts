import type { Dice } from '../../support/chaos-random.js';
import { DmlGrammar } from '../../support/dml-statements.js';
import * as bytes from '../../support/frontend-bytes.js';
import type { Deed } from './hunt.js';
import { randomChange, randomCopy, schemaChange, type Change } from './random-changes.js';
import { asks, batch, by, ready, run, send } from './story.js';

/** Transactions of one client, one behind the other, and statements between them. Each deed gets one ReadyForQuery. */
export function randomTransactions(dice: Dice): Deed[] {
  const writer = new TransactionWriter(dice);
  for (let rounds = dice.between(1, 4); rounds > 0; rounds--) writer.round();
  return writer.deeds;
}

/** What stands on the plain server for what the proxy refuses, so that the transaction there fails too. */
const REFUSED = "DO $$BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '0A000'; END$$";

const BEGINS = [
  ...['BEGIN', 'BEGIN', 'BEGIN', 'START TRANSACTION', 'BEGIN ISOLATION LEVEL READ COMMITTED'],
  ...[
    'BEGIN READ ONLY',
    'BEGIN ISOLATION LEVEL REPEATABLE READ',
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
  ],
];
const ENDS = [
  ...[
    'COMMIT',
    'COMMIT',
    'COMMIT',
    'END',
    'ROLLBACK',
    'ROLLBACK',
    'COMMIT AND CHAIN',
    'ROLLBACK AND CHAIN',
  ],
];
const SAVEPOINTS = [
  ...[
    'SAVEPOINT a',
    'SAVEPOINT a',
    'SAVEPOINT b',
    'ROLLBACK TO a',
    'ROLLBACK TO a',
    'ROLLBACK TO b',
  ],
  ...['RELEASE a', 'RELEASE b'],
];
const SETTINGS = [
  ...[
    "SET LOCAL work_mem = '3MB'",
    'SHOW work_mem',
    'SET TRANSACTION READ ONLY',
    'SHOW transaction_read_only',
  ],
  ...[
    'SET CONSTRAINTS ALL DEFERRED',
    "SET LOCAL my.own = 'y'",
    "SELECT current_setting('my.own', true)",
  ],
  ...["SELECT set_config('work_mem', '6MB', true)", 'SHOW transaction_isolation'],
];
const ERRORS = [
  ...['SELECT 1 / 0', 'SELECT missing FROM people', 'SELEC', 'INSERT INTO nowhere VALUES (1)'],
  ...['SELECT 10 / (id - 7) FROM people', "UPDATE people SET n = 'x'", 'COMMIT PREPARED'],
  ...["INSERT INTO people (id, name) VALUES (1, 'twice')", 'INSERT INTO people (id) VALUES (99)'],
  ...[
    "INSERT INTO items VALUES ('t0', 77, 1, 1)",
    'ROLLBACK TO nowhere',
    'INSERT INTO regions VALUES (1)',
  ],
];

class TransactionWriter {
  readonly deeds: Deed[] = [];
  private readonly dice: Dice;
  private readonly grammar: DmlGrammar;

  constructor(dice: Dice) {
    this.dice = dice;
    this.grammar = new DmlGrammar(dice);
  }

  /** A transaction, or some statements by themselves. */
  round(): void {
    const { dice } = this;
    const inside = dice.chance(0.75);
    const ddl = dice.chance(0.25);
    if (inside) this.ask(dice.pick(BEGINS));
    for (let left = dice.between(1, 9); left > 0; left--) {
      if (inside && dice.chance(0.3)) this.ask(dice.pick(SAVEPOINTS));
      if (ddl && dice.chance(0.5)) this.ask(schemaChange(dice));
      else this.part();
    }
    if (inside) this.ask(dice.pick(ENDS));
  }

  private part(): void {
    const { dice } = this;
    const die = dice.below(100);
    if (die < 78) this.change();
    else if (die < 86) this.copy();
    else if (die < 91) this.script();
    else if (die < 96) this.ask(dice.pick(SETTINGS));
    else this.ask(dice.pick(ERRORS));
  }

  private any(): Change {
    return this.dice.chance(0.5) ? this.grammar.next() : randomChange(this.dice);
  }

  private change(): void {
    const { sql, params } = this.any();
    if (params === undefined) {
      this.ask(sql);
      return;
    }
    const values = params.map((value) => (value === null ? null : `${value as string | number}`));
    this.deeds.push({
      words: `${sql} -- ${JSON.stringify(params)}`,
      step: batch(...run(sql, values)),
    });
  }

  /** Several statements in one text, which may be transactions too. */
  private script(): void {
    const { dice } = this;
    const texts = Array.from({ length: dice.between(2, 4) }, () => {
      if (dice.chance(0.1)) return dice.pick([...BEGINS, ...ENDS]);
      const { sql, params } = this.any();
      return params === undefined ? sql : 'SELECT 1';
    });
    const text = texts.join('; ');
    this.deeds.push({ words: text, step: asks(text) });
  }

  private copy(): void {
    const { dice } = this;
    const { sql, lines } = randomCopy(dice);
    const data = lines
      .filter(() => dice.chance(0.7))
      .map((line) => `${line}\n`)
      .join('');
    const isWhole = dice.chance(0.9);
    const end = isWhole ? bytes.copyDone() : bytes.copyFail('enough');
    this.deeds.push({
      words: `${sql} ${JSON.stringify(data)}${isWhole ? '' : ' CopyFail'}`,
      step: by('', send(bytes.query(sql), bytes.copyData(data), end), ready()),
    });
  }

  private ask(sql: string): void {
    const isScript = sql.includes(';');
    this.deeds.push({
      words: sql,
      step: asks(sql),
      ...(isScript ? {} : { instead: asks(REFUSED) }),
    });
  }
}

/**
 * The transactions in place of some that were refused behind these answers: the plain server is told of an error where
 * the proxy has refused; where that would not be the same, both are not told of it.
 */
export function pastRefusal(deeds: readonly Deed[], answered: readonly string[]): readonly Deed[] {
  const at = answered.filter((line) => line.startsWith('A Z')).length;
  return deeds.flatMap((deed, i) => {
    if (i !== at) return [deed];
    const { instead, ...rest } = deed;
    return instead === undefined ? [] : [{ ...rest, elsewhere: instead }];
  });
}

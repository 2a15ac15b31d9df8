import type { Dice } from '../../support/chaos-random.js';
import * as bytes from '../../support/frontend-bytes.js';
import { frame, int16 } from '../../support/wire-messages.js';
import {
  anySentence,
  asQuery,
  copyFrom,
  copyTo,
  textOf,
  transactionSentence,
  type ParameterKind,
  type Sentence,
} from './random-statements.js';
import type { Deed } from './hunt.js';
import { pause, send, settles } from './story.js';

const STATEMENTS = ['', '', 's0', 's1'];
const PORTALS = ['', '', 'p0', 'p1'];
/** The statement, and portal, of rows in no order. */
const UNSORTED = 'u';
const LIMITS = [0, 0, 1, 2, 5, 100];

export const settled: Deed = { words: '-- waits for all answers', step: settles };

/** A session of one client: pipelines, and between them he waits for all answers, or does not. */
export function randomSession(dice: Dice): Deed[] {
  const writer = new SessionWriter(dice);
  for (let rounds = dice.between(1, 5); rounds > 0; rounds--) writer.round();
  return writer.deeds;
}

class SessionWriter {
  readonly deeds: Deed[] = [];
  private readonly dice: Dice;
  /** What was last parsed under a name, if that has gone well. */
  private readonly statements = new Map<string, Sentence>();
  /** Behind the last Sync there is something: a Query would stand within a pipeline. */
  private piped = false;
  /**
   * The unnamed portal was bound behind the last Sync. Else it may be that of a Query that has failed, and
   * PostgreSQL 18 crashes where it is used in the transaction that has failed with it.
   */
  private hasUnnamed = false;

  constructor(dice: Dice) {
    this.dice = dice;
  }

  round(): void {
    const { dice } = this;
    if (dice.chance(0.3)) this.transaction();
    for (let left = dice.between(1, 6); left > 0; left--) this.part();
    this.sync();
    this.deeds.push(settled);
  }

  private part(): void {
    const { dice } = this;
    const die = dice.below(100);
    if (die < 45) this.run(anySentence(dice));
    else if (die < 55) this.runAgain();
    else if (die < 62) this.goOn();
    else if (die < 74) this.query();
    else if (die < 80) this.transaction();
    else if (die < 86) this.copy();
    else if (die < 90) this.odd();
    else if (die < 94) this.closeSome();
    else this.breathe();
    if (dice.chance(0.25)) this.sync();
  }

  /** The usual way, one message or the other left out. */
  private run(sentence: Sentence): void {
    const { dice } = this;
    if (/^(DECLARE|FETCH|MOVE|CLOSE)/.test(sentence.sql)) {
      this.ask(sentence.sql);
      return;
    }
    // Rows in no order must not be cut, whatever has become of other statements and portals.
    const statement = sentence.sorted ? dice.pick(STATEMENTS) : UNSORTED;
    const portal = sentence.sorted ? dice.pick(PORTALS) : UNSORTED;
    if (statement !== '' && dice.chance(0.7)) this.close('S', statement);
    this.parse(statement, sentence);
    if (dice.chance(0.3)) this.describe('S', statement);
    if (dice.chance(0.1)) return;
    this.bind(portal, statement);
    if (dice.chance(0.5)) this.describe('P', portal);
    if (dice.chance(0.08)) this.flush();
    this.execute(portal);
    if (dice.chance(0.15)) this.execute(portal);
  }

  /** A statement that was parsed before, perhaps in an earlier round. */
  private runAgain(): void {
    const { dice } = this;
    const statement = dice.pick(STATEMENTS);
    const portal = dice.pick(PORTALS);
    this.bind(portal, statement);
    if (dice.chance(0.4)) this.describe('P', portal);
    this.execute(portal);
  }

  /** More rows of a portal, perhaps one of an earlier round. */
  private goOn(): void {
    const portal = this.dice.pick(PORTALS);
    if (portal === '' && !this.hasUnnamed) return;
    if (this.dice.chance(0.3)) this.describe('P', portal);
    this.execute(portal);
  }

  private query(): void {
    const { dice } = this;
    if (dice.chance(0.9)) this.sync();
    this.hasUnnamed = false;
    const texts = Array.from({ length: dice.pick([1, 1, 1, 2, 3]) }, () =>
      asQuery(anySentence(dice), dice),
    );
    // A cursor within a text that is no transaction would be refused.
    const sql = texts.find((text) => text.startsWith('DECLARE')) ?? texts.join('; ');
    this.say(`Query     ${sql}`, bytes.query(sql));
  }

  /** A Query, not within a pipeline. */
  private ask(sql: string): void {
    this.sync();
    this.say(`Query     ${sql}`, bytes.query(sql));
  }

  private transaction(): void {
    this.command(transactionSentence(this.dice).sql);
  }

  private copy(): void {
    const { dice } = this;
    if (dice.chance(0.4)) {
      this.command(copyTo(dice));
      return;
    }
    const { sql, lines } = copyFrom(dice);
    this.command(sql);
    const data = lines
      .filter(() => dice.chance(0.7))
      .map((line) => `${line}\n`)
      .join('');
    const cut = dice.below(data.length + 1);
    for (const piece of [data.slice(0, cut), data.slice(cut)]) {
      if (piece !== '') this.say(`CopyData  ${JSON.stringify(piece)}`, bytes.copyData(piece));
      if (dice.chance(0.1)) this.flush();
    }
    if (dice.chance(0.8)) this.say('CopyDone', bytes.copyDone());
    else this.say('CopyFail  enough', bytes.copyFail('enough'));
  }

  /** By either protocol. */
  private command(sql: string): void {
    if (this.dice.chance(0.5)) {
      this.ask(sql);
      return;
    }
    this.say(`Parse     "" ${sql}`, bytes.parse(sql));
    this.say('Bind      "" of ""', bytes.bind());
    this.say('Execute   ""', bytes.execute());
    this.piped = true;
  }

  /** What no driver sends. */
  private odd(): void {
    const { dice } = this;
    const portal = this.hasUnnamed ? '' : 'p0';
    const statement = dice.pick(STATEMENTS);
    const [words, message] = dice.pick<readonly [string, Buffer]>([
      ['CopyDone', bytes.copyDone()],
      ['CopyData  "x"', bytes.copyData('x')],
      [
        `Bind      ${name(portal)} of ${name(statement)} with a parameter of format 7`,
        bytes.bind({ portal, statement, values: ['1'], formats: [7] }),
      ],
      [
        `Bind      ${name(portal)} of ${name(statement)} with three result formats`,
        bytes.bind({ portal, statement, resultFormats: [0, 1, 0] }),
      ],
      [`Execute   ${name(portal)} limit -1`, bytes.execute(portal, -1)],
      ['Execute   nowhere', bytes.execute('nowhere')],
      ['Describe  S nowhere', bytes.describe('S', 'nowhere')],
      ['Bind      "" of nowhere', bytes.bind({ statement: 'nowhere' })],
      ['Parse     "" SELECT $1 with a type that is none', bytes.parse('SELECT $1', '', [99_999])],
      ['Execute   that is cut off', frame('E', '', int16(0))],
    ]);
    this.say(words, message);
    this.piped = true;
  }

  private closeSome(): void {
    if (this.dice.chance(0.5)) this.close('S', this.dice.pick(STATEMENTS));
    else this.close('P', this.dice.pick(PORTALS));
  }

  private breathe(): void {
    if (this.dice.chance(0.5)) this.flush();
    const ms = this.dice.pick([1, 5, 20]);
    this.deeds.push({ words: `-- waits ${ms} ms`, step: pause(ms) });
  }

  // -------------------------------------------------------------- messages

  private parse(statement: string, sentence: Sentence): void {
    this.say(`Parse     ${name(statement)} ${sentence.sql}`, bytes.parse(sentence.sql, statement));
    this.statements.set(statement, sentence);
    this.piped = true;
  }

  private bind(portal: string, statement: string): void {
    const { dice } = this;
    const sentence = this.statements.get(statement);
    const takes = [...(sentence?.takes ?? [])];
    if (dice.chance(0.02)) takes.push('word');
    const binary = dice.chance(0.25);
    const values = takes.map((kind) => valueOf(kind, binary, dice));
    const resultFormats = dice.pick([[], [], [0], [1], [1]]);
    const words = [
      `Bind      ${name(portal)} of ${name(statement)}`,
      ...values.map((value) => (value === null ? 'NULL' : JSON.stringify(value.words))),
      ...(binary ? ['(binary)'] : []),
      ...(resultFormats[0] === 1 ? ['for binary'] : []),
    ];
    this.say(
      words.join(' '),
      bytes.bind({
        portal,
        statement,
        values: values.map((value) => value?.bytes ?? null),
        formats: binary ? [1] : [],
        resultFormats,
      }),
    );
    this.piped = true;
    if (portal === '') this.hasUnnamed = true;
  }

  private execute(portal: string): void {
    const limit = portal === UNSORTED ? 0 : this.dice.pick(LIMITS);
    const words = `Execute   ${name(portal)}${limit === 0 ? '' : ` limit ${limit}`}`;
    this.say(words, bytes.execute(portal, limit));
    this.piped = true;
  }

  private describe(kind: 'S' | 'P', what: string): void {
    this.say(`Describe  ${kind} ${name(what)}`, bytes.describe(kind, what));
    this.piped = true;
  }

  private close(kind: 'S' | 'P', what: string): void {
    this.say(`Close     ${kind} ${name(what)}`, bytes.close(kind, what));
    this.piped = true;
  }

  private flush(): void {
    this.say('Flush', bytes.flush());
  }

  private sync(): void {
    if (!this.piped) return;
    this.say('Sync', bytes.sync());
    this.piped = false;
    this.hasUnnamed = false;
  }

  private say(words: string, message: Buffer): void {
    this.deeds.push({ words, step: send(message) });
  }
}

function name(of: string): string {
  return of === '' ? '""' : of;
}

function valueOf(
  kind: ParameterKind,
  binary: boolean,
  dice: Dice,
): { readonly words: string; readonly bytes: Buffer } | null {
  if (dice.chance(0.04)) return null;
  const text = dice.chance(0.03) ? 'x' : textOf(kind, dice);
  if (!binary || kind === 'word' || text === 'x') return { words: text, bytes: Buffer.from(text) };
  const value = Buffer.alloc(kind === 'id' ? 8 : 4);
  value.writeInt32BE(Number(text), value.length - 4);
  return { words: text, bytes: value };
}

import { Tokens } from '../../sql/tokens.js';

/** What a PL/pgSQL trigger function does, if it only computes. */
export interface TriggerBody {
  /** Columns of NEW that it sets. */
  readonly assigned: ReadonlySet<string>;
  readonly returns: ReadonlySet<Returned>;
}

export type Returned = 'new' | 'old' | 'null' | 'either';

/**
 * Why a function may not be called; null: it may. `field`: it stands as `row.name`, which is a call
 * where there is no such column.
 */
export type NameCheck = (name: string, field: boolean) => string | null;

/**
 * Reads a function body that computes from its row and does nothing else: assignments to NEW and to
 * variables, IF, RAISE, RETURN. Anything else is answered by the reason, as `it ...`.
 * @param check for every function that is called
 */
export function readTriggerBody(source: string, check: NameCheck): TriggerBody | string {
  try {
    return new BodyReader(source, check).read();
  } catch (error) {
    if (error instanceof NotComputing) return error.message;
    throw error;
  }
}

class NotComputing extends Error {}

/** Words that begin queries and commands. */
const commandWords = new Set(
  'select insert update delete merge table values execute call copy into perform'.split(' '),
);
const clockWords = /^'\s*(now|today|tomorrow|yesterday)\b/i;
const valueFunctions = /^((current|local)_?(date|time|timestamp|user|role)|session_user)$/i;
const NAME = /^([a-z_\u0080-\uffff][\w$\u0080-\uffff]*|".*")$/is;

class BodyReader {
  private readonly tokens: Tokens;
  private at = 0;
  private readonly assigned = new Set<string>();
  private readonly returns = new Set<Returned>();
  private readonly check: NameCheck;

  constructor(source: string, check: NameCheck) {
    const bytes = Buffer.from(source, 'utf8');
    this.tokens = new Tokens(bytes, 0, 0, bytes.length);
    this.check = check;
  }

  read(): TriggerBody {
    if (this.is('declare')) {
      this.expression(this.find('begin'));
    }
    this.block();
    if (this.at < this.tokens.count) throw this.unknown();
    const { assigned, returns } = this;
    return { assigned, returns };
  }

  private block(): void {
    this.take('begin');
    this.statements();
    this.take('end');
    if (this.at < this.tokens.count) this.take(';');
  }

  /** Up to a word that ends them. */
  private statements(): void {
    while (!['end', 'else', 'elsif', 'elseif'].some((word) => this.is(word))) this.statement();
  }

  private statement(): void {
    if (this.is('begin')) this.block();
    else if (this.is('if')) this.condition();
    else if (this.is('return')) this.result();
    else if (this.is('raise')) this.toEnd();
    else if (this.is('null') && this.tokens.is(this.at + 1, ';')) this.toEnd();
    else this.assignment();
  }

  private condition(): void {
    this.take('if');
    this.expression(this.find('then'));
    this.take('then');
    this.statements();
    while (this.is('elsif') || this.is('elseif')) {
      this.at++;
      this.expression(this.find('then'));
      this.take('then');
      this.statements();
    }
    if (this.is('else')) {
      this.at++;
      this.statements();
    }
    this.take('end');
    this.take('if');
    this.take(';');
  }

  private result(): void {
    this.take('return');
    const end = this.find(';');
    const words = this.words(this.at, end).join(' ').toLowerCase();
    if (words === 'new' || words === 'old' || words === 'null') this.returns.add(words);
    else if (words === 'coalesce ( new , old )') this.returns.add('either');
    else throw new NotComputing('returns something else than NEW, OLD or NULL');
    this.at = end + 1;
  }

  private assignment(): void {
    const [first = '', dot, column = ''] = this.words(this.at, this.at + 3);
    if (!NAME.test(first) || commandWords.has(first.toLowerCase())) throw this.unknown();
    const dotted = dot === '.';
    if (first.toLowerCase() === 'new' && dotted) this.assigned.add(plainName(column));
    else if (/^(new|old)$/i.test(first)) throw new NotComputing(`sets ${first.toUpperCase()}`);
    let target = this.at + (dotted ? 3 : 1);
    if (this.tokens.is(target, '[')) {
      while (target < this.tokens.count && !this.tokens.is(target, ']')) target++;
      target++;
    }
    if (this.tokens.is(target, ':')) target++;
    if (!this.tokens.is(target, '=')) throw this.unknown();
    this.toEnd();
  }

  /** All that is left of the statement is values. */
  private toEnd(): void {
    this.expression(this.find(';'));
    this.at++;
  }

  /** From here to a token. */
  private expression(end: number): void {
    for (; this.at < end; this.at++) {
      const word = this.word(this.at);
      if (clockWords.test(word)) throw new NotComputing(`takes the time from ${word}`);
      if (!NAME.test(word)) continue;
      if (commandWords.has(word.toLowerCase())) throw this.unknown();
      if (word.toLowerCase() === 'tg_relid') throw new NotComputing('uses TG_RELID');
      const called = this.tokens.is(this.at + 1, '(') || valueFunctions.test(word);
      const field = !called && this.tokens.is(this.at - 1, '.');
      const problem = called || field ? this.check(plainName(word), field) : null;
      if (problem !== null) throw new NotComputing(problem);
    }
  }

  /** The next such word outside of CASE and parentheses. */
  private find(word: string): number {
    let depth = 0;
    for (let i = this.at; i < this.tokens.count; i++) {
      if (depth === 0 && this.tokens.is(i, word)) return i;
      if (this.tokens.is(i, 'case') || this.tokens.is(i, '(')) depth++;
      else if (this.tokens.is(i, 'end') || this.tokens.is(i, ')')) depth--;
    }
    throw this.unknown();
  }

  private is(word: string): boolean {
    return this.tokens.is(this.at, word);
  }

  private take(word: string): void {
    if (!this.is(word)) throw this.unknown();
    this.at++;
  }

  private word(index: number): string {
    const { tokens } = this;
    return index < tokens.count ? tokens.text(tokens.start(index), tokens.end(index)) : '';
  }

  private words(from: number, to: number): string[] {
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => this.word(from + i));
  }

  private unknown(): NotComputing {
    const word = this.word(this.at);
    return new NotComputing(
      word === '' ? 'ends too early to be read' : `does more than compute, at "${word}"`,
    );
  }
}

/** A name as the catalog has it. */
export function plainName(word: string): string {
  if (!word.startsWith('"')) return word.toLowerCase();
  return word.slice(1, -1).replaceAll('""', '"');
}

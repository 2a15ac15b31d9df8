import type { Catalog, CatalogFunction, CatalogRelation } from '../keyspace/catalog.js';
import { skipBlanks } from '../sql/lexer.js';
import { Tokens } from '../sql/tokens.js';
import {
  catalogFunctions,
  extensionFunctions,
  harmlessVolatile,
  meetsSessions,
  readsNamedTables,
  serverReports,
} from './builtin-functions.js';
import { madeUpCallProblem, madeUpProblem, plainString } from './made-up-statements.js';
import { sessionViews } from './names.js';
import { relationsNamed } from './relation-names.js';
import { plainName } from './triggers/trigger-body.js';

/** What code of a user, run by a server, may touch beside its arguments. */
export interface Reach {
  /** Tables, sequences and views that it names, or may name: any word of it can be a name. */
  readonly relations: ReadonlySet<CatalogRelation>;
  /** All of its words, as names. */
  readonly words: ReadonlySet<string>;
  /** It may tell the time of its transaction or statement, which servers do not have in common. */
  readonly tellsMoment: boolean;
  /** What it calls that means the same here as in the statement itself (`pg_notify`, `to_regclass`). */
  readonly calls: ReadonlySet<string>;
  /** It reads system catalogs. */
  readonly readsCatalog: boolean;
  /**
   * Why its words do not tell all that it touches, as the end of a sentence about it; null: they do. A server can say
   * what it has touched when it has run.
   */
  readonly hidden: string | null;
}

/** Commands that leave something behind in a server session, or that nobody can follow. */
const commands = new Set(
  (
    'abort checkpoint commit copy deallocate discard do explain import listen load move open prepare ' +
    'reassign release reset rollback savepoint security set show start unlisten vacuum'
  ).split(' '),
);
/** Commands about tables and their definitions, which reach further than their words tell. */
const definitions = new Set(
  'alter analyze cluster comment create drop grant lock refresh reindex revoke truncate'.split(' '),
);
const unsupported = new Set(['refcursor', 'cursor', 'pg_temp', ...sessionViews]);
/** Stable ones that tell of a server session. */
const sessionFunctions = /^pg_(backend_pid|cursor|listening_channels|prepared_statement)$/;
/** What may stand in front of a statement. */
const starts = new Set(['', ';', 'begin', 'atomic', 'then', 'else', 'loop', '>']);
/** What stands behind a variable to which something is assigned. */
const assignments = new Set([':', ':=', '=', '.', '[']);
const objectTypes =
  /^reg(class|collation|config|dictionary|namespace|oper|operator|proc|procedure|role|type)$/;
/** The time at which a transaction or statement began. */
const moments = new Set(
  (
    'now transaction_timestamp statement_timestamp age current_date current_time ' +
    'current_timestamp localtime localtimestamp'
  ).split(' '),
);
const clockString = /^e?'\s*(now|today|tomorrow|yesterday)\b/i;

const reaches = new WeakMap<Catalog, Map<CatalogFunction, Reach | string>>();

/**
 * What a function may touch, itself and by functions that it calls. A string tells why that is not
 * known, or why it may not be called, as the end of a sentence about it.
 */
export function functionReach(called: CatalogFunction, catalog: Catalog): Reach | string {
  const known = reaches.get(catalog) ?? new Map<CatalogFunction, Reach | string>();
  reaches.set(catalog, known);
  let reach = known.get(called);
  if (reach !== undefined) return reach;
  if (called.body === undefined) return UNKNOWN;
  known.set(called, 'is one of several that call each other');
  reach = bodyReach(called.body, catalog, called);
  known.set(called, reach);
  return reach;
}

const UNKNOWN = 'is not IMMUTABLE, so it may read or write tables of other shards';

/** The same of SQL or PL/pgSQL; `own`: the function whose body it is. */
export function bodyReach(
  body: string,
  catalog: Catalog,
  own: CatalogFunction | null,
): Reach | string {
  const reader = new BodyReader(body, catalog, own);
  const problem = reader.read();
  if (problem !== null) return problem;
  const { relations, words, calls, readsCatalog, hidden } = reader;
  const tellsMoment =
    hidden !== null || [...words].some((word) => moments.has(word) || clockString.test(word));
  return { relations, words, tellsMoment, calls, readsCatalog, hidden };
}

class BodyReader {
  readonly relations = new Set<CatalogRelation>();
  readonly words = new Set<string>();
  readonly calls = new Set<string>();
  readsCatalog = false;
  hidden: string | null = null;
  readonly #catalog: Catalog;
  readonly #own: CatalogFunction | null;
  readonly #body: string;
  readonly #tokens: readonly string[];
  /** It has been cut into tokens up to its end. */
  readonly #whole: boolean;

  constructor(body: string, catalog: Catalog, own: CatalogFunction | null) {
    this.#catalog = catalog;
    this.#own = own;
    this.#body = body;
    const bytes = Buffer.from(body, 'utf8');
    const tokens = new Tokens(bytes, 0, 0, bytes.length);
    const end = tokens.count === 0 ? 0 : tokens.end(tokens.count - 1);
    this.#whole = skipBlanks(bytes, end, bytes.length) === bytes.length;
    this.#tokens = Array.from({ length: tokens.count }, (_, i) =>
      plainWord(tokens.text(tokens.start(i), tokens.end(i))),
    );
  }

  /** Null: what it touches is known. */
  read(): string | null {
    if (!this.#whole) return 'cannot be read here';
    for (const symbol of this.#catalog.operators) {
      if (this.#body.includes(symbol)) return `may call the function of operator ${symbol}`;
    }
    let declares = false;
    for (const [index, word] of this.#tokens.entries()) {
      this.words.add(word);
      if (word === 'begin') declares = false;
      else if (word === 'declare') declares = starts.has(this.#tokens[index - 1] ?? '');
      const problem = this.#wordProblem(word, index, declares);
      if (problem !== null) return problem;
    }
    if (this.hidden !== null) {
      const problem = this.#hiddenProblem();
      if (problem !== null) return problem;
    }
    const strings = this.words.has('nextval');
    if (strings) this.#addStrings();
    for (const word of this.words) {
      for (const relation of relationsNamed(this.#catalog, word)) {
        // Types have no rows.
        if (relation.kind === 'c' || (relation.kind === 'S' && !strings)) continue;
        this.relations.add(relation);
      }
    }
    return null;
  }

  /** `declares`: it stands among declarations of variables. */
  #wordProblem(word: string, index: number, declares: boolean): string | null {
    const next = this.#tokens[index + 1] ?? '';
    const previous = this.#tokens[index - 1] ?? '';
    if (word === 'execute' && previous !== 'grant' && next !== 'function' && next !== 'procedure') {
      this.hidden ??= 'runs statements that it makes up';
      return madeUpProblem(this.#tokens, index + 1);
    }
    if (!declares && starts.has(previous) && !assignments.has(next)) {
      if (word === 'notify') this.calls.add('pg_notify');
      if (definitions.has(word)) this.hidden ??= `runs ${word.toUpperCase()}`;
      if (commands.has(word)) return `runs ${word.toUpperCase()}`;
    }
    if (unsupported.has(word)) return `uses ${word}`;
    if (objectTypes.test(word)) this.readsCatalog = true;
    if (next === '(' || previous === '.') return this.#callProblem(word);
    if (word === 'information_schema' || (word.startsWith('pg_') && word !== 'pg_catalog')) {
      this.readsCatalog = true;
    }
    return null;
  }

  /** What must be known of code before a server may be asked what it has touched. */
  #hiddenProblem(): string | null {
    // Locks, which tell it, are given back with what an error undoes.
    const catches = this.#tokens.some(
      (word, index) => word === 'exception' && this.#tokens[index + 1] === 'when',
    );
    if (catches) return `${this.hidden!} and catches errors`;
    if (this.words.has('temp') || this.words.has('temporary')) return 'makes temporary tables';
    for (const token of this.#tokens) {
      const text = plainString(token);
      if (text === null) continue;
      for (const [, name] of text.matchAll(/([\p{L}_][\p{L}\p{N}_$]*)"?\s*\(/gu)) {
        const problem = this.#callProblem(name!.toLowerCase());
        if (problem !== null) return problem;
      }
    }
    return madeUpCallProblem(this.#tokens);
  }

  /** Of a word that may be the name of a function that is called. */
  #callProblem(name: string): string | null {
    for (const called of this.#catalog.functions.get(name) ?? []) {
      if (called.volatility === 'i' || called === this.#own) continue;
      if (called.language === 'c' && extensionFunctions.test(name)) continue;
      const reach = functionReach(called, this.#catalog);
      if (typeof reach === 'string') return `calls function "${name}", which ${reach}`;
      for (const relation of reach.relations) this.relations.add(relation);
      for (const word of reach.words) this.words.add(word);
      for (const call of reach.calls) this.calls.add(call);
      if (reach.readsCatalog) this.readsCatalog = true;
      this.hidden ??= reach.hidden;
    }
    if (name === 'nextval' || harmlessVolatile.has(name)) return null;
    const isVolatile = this.#catalog.volatileBuiltins.has(name);
    const tells = isVolatile ? serverReports.test(name) : catalogFunctions.test(name);
    if (meetsSessions(name) || (tells && !sessionFunctions.test(name))) {
      this.calls.add(name);
      return null;
    }
    return tells || isVolatile || readsNamedTables.test(name) ? `calls ${name}()` : null;
  }

  /** The words that strings hold: sequences are named in them. */
  #addStrings(): void {
    for (const token of this.#tokens) {
      if (!/^(e?'|\$)/i.test(token)) continue;
      for (const [word] of token.matchAll(/[\p{L}_][\p{L}\p{N}_$]*/gu)) {
        this.words.add(word).add(word.toLowerCase());
      }
    }
  }
}

/** A name as the catalog has it; strings stay as they are. */
function plainWord(token: string): string {
  const isName = token.startsWith('"') || (/^[\p{L}_]/u.test(token) && !token.includes("'"));
  return isName ? plainName(token) : token;
}

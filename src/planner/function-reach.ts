import type { Catalog, CatalogFunction, CatalogRelation } from '../keyspace/catalog.js';
import { skipBlanks } from '../sql/lexer.js';
import { Tokens } from '../sql/tokens.js';
import {
  catalogFunctions,
  extensionFunctions,
  harmlessVolatile,
  readsNamedTables,
} from './builtin-functions.js';
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
}

/** Commands that leave something behind in a server session, or that nobody can follow. */
const commands = new Set(
  (
    'abort alter analyze call checkpoint cluster comment commit copy create deallocate discard do ' +
    'drop explain grant import listen load lock move notify open prepare reassign refresh reindex ' +
    'release reset revoke rollback savepoint security set show start truncate unlisten vacuum'
  ).split(' '),
);
const unsupported = new Set(['information_schema', 'refcursor', 'cursor']);
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
  const { relations, words } = reader;
  const tellsMoment = [...words].some((word) => moments.has(word) || clockString.test(word));
  return { relations, words, tellsMoment };
}

class BodyReader {
  readonly relations = new Set<CatalogRelation>();
  readonly words = new Set<string>();
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
    if (word === 'execute') return 'runs statements that it makes up';
    if (!declares && commands.has(word) && starts.has(previous) && !assignments.has(next)) {
      return `runs ${word.toUpperCase()}`;
    }
    if (unsupported.has(word)) return `uses ${word}`;
    if (objectTypes.test(word)) return 'names objects by their OIDs';
    if (next === '(' || previous === '.') return this.#callProblem(word);
    return word.startsWith('pg_') && word !== 'pg_catalog' ? 'reads the system catalogs' : null;
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
    }
    if (name === 'nextval' || harmlessVolatile.has(name)) return null;
    const known = readsNamedTables.test(name) || catalogFunctions.test(name);
    if (!known && !this.#catalog.volatileBuiltins.has(name)) return null;
    return `calls ${name}()`;
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

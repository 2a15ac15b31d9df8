import type { CommonTableExpr, Node, WithClause } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import type { Tokens } from '../../sql/tokens.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, forEachChild, kindOf, selectOf } from '../ast.js';
import { isReferenced, referringTables } from '../foreign-keys.js';
import { levelsBelow } from '../gather/pushed-queries.js';
import type { Level, Occurrence } from '../model.js';
import type { ShardedOccurrence } from '../placement.js';
import type { ColumnTerm, KeysApart, Refusal, SpreadSpec } from '../plan.js';
import { refusal, Refused, refuse } from '../refusals.js';
import { columnsOfTerm, keyTerms } from '../terms.js';

/** A WITH query that changes rows. */
export interface ChangingCte {
  readonly cte: CommonTableExpr;
  /** As a statement of its own, with the earlier WITH queries that it refers to. */
  readonly statement: Node;
}

/** What a statement changes in its WITH clause. */
export interface ChangingCtes {
  readonly changing: readonly ChangingCte[];
  /** Earlier WITH queries that nothing else refers to. */
  readonly consumed: readonly CommonTableExpr[];
  /** Keys of parts that share a table. */
  readonly apart: SpreadSpec['apart'];
}

/**
 * Splits off what the WITH queries of a statement change, so that it can be done before. PostgreSQL
 * runs all parts on one snapshot, on which none sees what another one does but through RETURNING;
 * so throws Refused where a part looks at a table that another one changes, but for rows of other keys.
 * @param readsBefore the parts that change nothing are read before all others, but for what only functions name
 */
export function changingCtes(
  statement: Node,
  analysis: Analysis,
  readsBefore: boolean,
): ChangingCtes {
  const { withClause, ...main } = bodyOf(statement) as { withClause?: WithClause };
  const ctes = (withClause?.ctes ?? []).flatMap((node) =>
    'CommonTableExpr' in node ? [node.CommonTableExpr] : [],
  );
  if (analysis.changes.size !== analysis.nestedWrites) refuseForm();
  const references = new References(ctes, main, analysis);
  const changing: ChangingCte[] = [];
  const consumed = new Set<CommonTableExpr>();
  /** The last one first. */
  const groups: CommonTableExpr[][] = [];
  for (const cte of ctes.toReversed()) {
    if (!analysis.changes.has(cte) || consumed.has(cte)) continue;
    const needed = references.neededBy(cte);
    const own = [...needed, cte];
    if (needed.some((other) => references.usedOutside(other, own))) refuseForm();
    groups.push(own);
    for (const other of needed) consumed.add(other);
    changing.unshift({ cte, statement: withCtes(cte, needed, withClause?.recursive === true) });
  }
  const levels = groups.map((own) => levelsOf(own, analysis));
  const apart = groups.flatMap((own, at) => {
    const inside = levels[at]!;
    const elsewhere = analysis.occurrences.filter(({ entry }) => !inside.has(entry.level));
    const reads = ({ entry }: Occurrence): boolean =>
      readsBefore && isNamed(entry, analysis) && !levels.some((other) => other.has(entry.level));
    // What comes in front of it has seen and done all it has to.
    const earlier = levels.slice(at + 1);
    const others = elsewhere.filter(
      (other) =>
        (other.written || !reads(other)) && !earlier.some((done) => done.has(other.entry.level)),
    );
    return refuseSeen(own, inside, others, analysis);
  });
  return { changing, consumed: [...consumed], apart };
}

/** Whether an item of FROM stands for it. */
function isNamed(entry: Occurrence['entry'], { ranges }: Analysis): boolean {
  for (const range of ranges.values()) if (range.entry === entry) return true;
  return false;
}

function levelsOf(own: readonly CommonTableExpr[], analysis: Analysis): ReadonlySet<Level> {
  return new Set(own.flatMap((cte) => [...levelsBelow(levelOf(cte, analysis)!, analysis)]));
}

/** Which WITH queries of a statement refer to which. */
class References {
  readonly #ctes: readonly CommonTableExpr[];
  readonly #byCte = new Map<CommonTableExpr, ReadonlySet<CommonTableExpr>>();
  readonly #byMain: ReadonlySet<CommonTableExpr>;

  constructor(ctes: readonly CommonTableExpr[], main: object, analysis: Analysis) {
    this.#ctes = ctes;
    const byLevel = new Map(ctes.map((cte) => [levelOf(cte, analysis), cte]));
    const referredBy = (body: unknown): Set<CommonTableExpr> => {
      const found = new Set<CommonTableExpr>();
      const visit = (node: Node): void => {
        const level = 'RangeVar' in node ? analysis.cteRanges.get(node.RangeVar) : undefined;
        const cte = level === undefined || level === null ? undefined : byLevel.get(level);
        if (cte !== undefined) found.add(cte);
        forEachChild(bodyOf(node), visit);
      };
      forEachChild(body, visit);
      return found;
    };
    for (const cte of ctes) this.#byCte.set(cte, referredBy(cte));
    this.#byMain = referredBy(main);
  }

  /** Those that a query refers to, directly or not, in their order. */
  neededBy(cte: CommonTableExpr): CommonTableExpr[] {
    const needed = new Set([cte]);
    // A Set iterates over what is added while it is walked.
    for (const user of needed) for (const other of this.#byCte.get(user)!) needed.add(other);
    return this.#ctes.filter((other) => other !== cte && needed.has(other));
  }

  usedOutside(cte: CommonTableExpr, inside: readonly CommonTableExpr[]): boolean {
    if (this.#byMain.has(cte)) return true;
    return this.#ctes.some((user) => !inside.includes(user) && this.#byCte.get(user)!.has(cte));
  }
}

/** The level of a WITH query's body. */
export function levelOf(cte: CommonTableExpr, analysis: Analysis): Level | undefined {
  const select = selectOf(cte.ctequery);
  return select === null ? analysis.changes.get(cte) : analysis.queries.get(select);
}

/**
 * `own`: WITH queries that are done together, with the levels `inside`; `others`: what is looked at or changed when
 * that may be done already. Returns what must be of other keys.
 */
function refuseSeen(
  own: readonly CommonTableExpr[],
  inside: ReadonlySet<Level>,
  others: readonly Occurrence[],
  analysis: Analysis,
): SpreadSpec['apart'] {
  const { names } = analysis;
  const apart: SpreadSpec['apart'][number][] = [];
  const done = analysis.occurrences.filter(
    ({ entry, written }) => written && inside.has(entry.level),
  );
  for (const change of done) {
    const { relation } = change;
    // What refers to its rows may be changed along with them; a view has names of its own.
    const isOpen = change.through !== undefined || own.some((cte) => mayCascade(cte, relation));
    const cascades = isReferenced(relation) && isOpen;
    const along = cascades ? referringTables(relation, names) : NO_TABLES;
    for (const other of others) {
      const problem = seenProblem(relation, other.relation);
      const isAlong =
        along === null || [...along].some((table) => names.shareRows(table, other.relation));
      if (isAlong) throw new Refused(problem);
      if (!names.shareRows(other.relation, relation)) continue;
      const keys = keysApart(change, other, analysis);
      if (keys === null) throw new Refused(problem);
      apart.push({ ...keys, refusal: problem });
    }
  }
  return apart;
}

const NO_TABLES: ReadonlySet<CatalogRelation> = new Set();

function seenProblem(changed: CatalogRelation, seen: CatalogRelation): Refusal {
  return refusal(
    `table "${changed.name}" is changed by a WITH query beside another use of table "${seen.name}", which is not supported over several shards`,
    'Run them as statements of their own, or bind the shard keys to different values, or all to one.',
  );
}

/** What two uses of a table are bound to; null: nothing tells their rows apart. */
function keysApart(one: Occurrence, other: Occurrence, analysis: Analysis): KeysApart | null {
  const first = boundKeys(one, analysis);
  const second = boundKeys(other, analysis);
  return first === null || second === null ? null : { one: first, other: second };
}

function boundKeys(occurrence: Occurrence, analysis: Analysis): KeysApart['one'] | null {
  if (occurrence.table?.type !== 'sharded') return null;
  const terms = keyTerms(occurrence as ShardedOccurrence, analysis);
  if (terms?.some((term) => columnsOfTerm(term).some(isList)) !== false) return null;
  const columns = terms.flatMap((term) => (term.columns === undefined ? [term] : []));
  const [first] = terms;
  return first?.columns ?? [columns];
}

function isList({ source }: ColumnTerm): boolean {
  return source.kind === 'paramArray';
}

/** Whether what a WITH query does may change values that foreign keys refer to, as far as it is the relation's. */
function mayCascade({ ctequery }: CommonTableExpr, { uniqueColumns }: CatalogRelation): boolean {
  if (ctequery === undefined || selectOf(ctequery) !== null) return false;
  const set =
    'InsertStmt' in ctequery
      ? (ctequery.InsertStmt.onConflictClause?.targetList ?? [])
      : 'UpdateStmt' in ctequery
        ? ctequery.UpdateStmt.targetList
        : undefined;
  if (set === undefined || uniqueColumns === undefined) return true;
  return set.some(
    (node) => !('ResTarget' in node) || uniqueColumns.includes(node.ResTarget.name ?? ''),
  );
}

function withCtes(
  { ctequery }: CommonTableExpr,
  needed: readonly CommonTableExpr[],
  recursive: boolean,
): Node {
  const statement = ctequery!;
  if (needed.length === 0) return statement;
  const body = bodyOf(statement) as { withClause?: WithClause };
  const own = body.withClause;
  const withClause: WithClause = {
    ctes: [...needed.map((cte) => ({ CommonTableExpr: cte })), ...(own?.ctes ?? [])],
    ...(recursive || own?.recursive === true ? { recursive: true } : {}),
  };
  return { [kindOf(statement)]: { ...body, withClause } } as unknown as Node;
}

/** Where the body of a WITH query stands, between its parentheses. */
export function cteBody(
  cte: CommonTableExpr,
  tokens: Tokens,
): { readonly start: number; readonly end: number } {
  let at = tokens.at(cte.location ?? -1) + 1;
  if (tokens.is(at, '(')) at = tokens.closing(at) + 1;
  if (!tokens.is(at, 'as')) refuseForm();
  at++;
  if (tokens.is(at, 'not')) at++;
  if (tokens.is(at, 'materialized')) at++;
  const close = tokens.is(at, '(') ? tokens.closing(at) : -1;
  if (close < 0) refuseForm();
  return { start: tokens.end(at), end: tokens.start(close) };
}

function refuseForm(): never {
  refuse(
    'data-modifying WITH queries of this form over several shards are not supported',
    'Run them as statements of their own, or bind the shard key so that one shard can answer.',
  );
}

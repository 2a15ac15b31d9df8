import type { CommonTableExpr, Node, RangeVar, SelectStmt } from '@pgsql/types';
import type { Analysis } from '../analysis.js';
import { bodyOf, forEachChild } from '../ast.js';
import { refuseValues } from '../counted-apart.js';
import { sourceQuery, sourceText } from '../distribute/source-query.js';
import { ColumnUse } from '../gather/column-use.js';
import { checkNames, cutSchemas, INPUT_ALIAS } from '../gather/gather-query.js';
import {
  candidateOf,
  columnsOf,
  hasOwnMeaning,
  keepsCollations,
  labelOf,
  levelsBelow,
} from '../gather/pushed-queries.js';
import { findSelect } from '../gather/select-place.js';
import { tableInput, viewInput } from '../gather/table-input.js';
import { StatementText } from '../gather/text-edits.js';
import { WholeRows } from '../gather/whole-rows.js';
import type { Level, Occurrence } from '../model.js';
import type { ShardedOccurrence, Tables } from '../placement.js';
import type { FinalPiece, GatherInput, ShardSelector, SpreadInput, SpreadSpec } from '../plan.js';
import { refuse } from '../refusals.js';
import { allWithin, keyGroups } from '../selectors.js';
import { serverObstacle, straysOf } from '../splitting.js';
import type { StatementContext } from '../statement-context.js';
import { changingCtes, cteBody, levelOf } from './changing-ctes.js';

/**
 * Plans an UPDATE or DELETE that looks at rows of other shards or keyspaces than its target's, and
 * any statement whose WITH queries change rows of several shards:
 *
 *     DELETE FROM orders o USING visits v WHERE v.order_id = o.id AND v.n > (SELECT avg(n) FROM visits)
 *                                ------                                      ----------------------
 *                                input 0                                     input 1
 *
 * What depends on nothing around it is computed once, as a query of its own; of other tables the
 * rows and columns that matter are read. `target`: null for a SELECT. Throws Refused for what would
 * not be PostgreSQL's own answer.
 */
export function spreadQuery(
  statement: Node,
  target: Occurrence | null,
  tables: Tables,
  analysis: Analysis,
  context: StatementContext,
): SpreadSpec {
  refuseObstacles(tables, analysis);
  context.constants.dependOnAll();
  const spreading = new Spreading(target, tables, analysis, context);
  const apply = spreading.text(statement);
  const shards = countingShard(spreading, target, analysis) ?? targetShards(target, analysis);
  const { apart } = spreading;
  return { ...readFirst(spreading, apply), shards, writes: target !== null, apart };
}

/** What is only read comes before what changes rows: it sees nothing of that. */
function readFirst(
  { inputs, changes }: Spreading,
  apply: readonly FinalPiece[],
): Pick<SpreadSpec, 'inputs' | 'apply'> {
  const places = inputs.map((_, place) => place);
  const order = [
    ...places.filter((place) => !changes.has(place)),
    ...places.filter((place) => changes.has(place)),
  ];
  return {
    inputs: order.map((place) => inputs[place]!),
    apply: apply.map((piece) =>
      typeof piece !== 'string' && piece.kind === 'input'
        ? { ...piece, input: order.indexOf(piece.input) }
        : piece,
    ),
  };
}

/**
 * The one server that counts what the statement itself takes of sequences; null: it takes nothing. Throws Refused where
 * the target's rows are elsewhere.
 */
function countingShard(
  { done }: Spreading,
  target: Occurrence | null,
  { occurrences }: Analysis,
): ShardSelector | null {
  const taken = occurrences.find(
    ({ entry, relation, table }) =>
      relation.kind === 'S' && table !== null && !done.has(entry.level),
  );
  if (taken === undefined) return null;
  const { keyspace } = taken.table!;
  if (target === null) return { kind: 'shard', shard: keyspace.shards[0]! };
  if (target.table!.keyspace === keyspace) return null;
  return refuseValues(taken);
}

function targetShards(target: Occurrence | null, analysis: Analysis): ShardSelector {
  if (target === null) return { kind: 'any', keyspace: null };
  const { keyspace } = target.table!;
  if (!keyspace.sharded) return { kind: 'shard', shard: keyspace.shards[0]! };
  const groups = keyGroups([target as ShardedOccurrence], analysis);
  if (groups === null) return allWithin([target as ShardedOccurrence], analysis);
  return { kind: 'keys', keyspace, groups };
}

/** What has a meaning on one server only. */
function refuseObstacles(tables: Tables, analysis: Analysis): void {
  const sample = analysis.sampled.size > 0 ? 'TABLESAMPLE' : null;
  const obstacle = sample ?? serverObstacle(tables, analysis);
  if (obstacle === null) return;
  refuse(
    `${obstacle} in a statement that changes rows by those of other shards is not supported`,
    'Leave it out, or bind all shard keys to one value, so that one shard can answer.',
  );
}

/** The inputs of one statement, found while its text is put together. */
class Spreading {
  readonly inputs: SpreadInput[] = [];
  /** Those of them that change rows. */
  readonly changes = new Set<number>();
  /** Keys of those that share a table with another part. */
  readonly apart: SpreadSpec['apart'][number][] = [];
  /** The levels of what inputs are. */
  readonly done = new Set<Level>();
  /** The statement itself changes nothing: all its tables are inputs. */
  readonly #onlyReads: boolean;
  readonly #tables: Tables;
  /** Tables whose rows are not where the target's are. */
  readonly #strays: ReadonlySet<Occurrence['entry']>;
  readonly #analysis: Analysis;
  readonly #context: StatementContext;
  readonly #text: StatementText;

  constructor(
    target: Occurrence | null,
    tables: Tables,
    analysis: Analysis,
    context: StatementContext,
  ) {
    this.#onlyReads = target === null;
    this.#tables = tables;
    this.#analysis = analysis;
    this.#context = context;
    this.#text = new StatementText(context);
    const { sharded, reference, unsharded } = tables;
    const keyspace = target?.table?.keyspace;
    const strays: Occurrence[] = [...reference, ...unsharded].filter(
      (occurrence) => occurrence.table!.keyspace !== keyspace,
    );
    if (keyspace?.sharded !== true) strays.push(...sharded);
    else strays.push(...straysOf(target as ShardedOccurrence, sharded, analysis));
    this.#strays = new Set(strays.map(({ entry }) => entry));
  }

  /** The statement's text with inputs in the places of what is not where the target is. */
  text(statement: Node): FinalPiece[] {
    const analysis = this.#analysis;
    const text = this.#text;
    const skip = new Set<object>();
    const { done } = this;
    if (analysis.nestedWrites > 0) this.#replaceChanges(statement, skip, done);
    this.#replaceQueries(statement, skip, done);
    this.#refuseLocks(done);
    const use = new ColumnUse(statement, skip);
    const moved = use.ranges.filter((range) => this.#moves(range));
    checkNames(moved, analysis);
    const rows = new WholeRows(statement, skip, moved, analysis);
    rows.giveTypes(text);
    for (const range of moved) {
      const relation = rows.typedRelation(range, [this.#relation(range, use)], false);
      text.replaceTable(range, relation);
    }
    cutSchemas(use, moved, analysis, text);
    return text.pieces();
  }

  /** What WITH queries change is done before; `done` gets their levels. */
  #replaceChanges(statement: Node, skip: Set<object>, done: Set<Level>): void {
    const analysis = this.#analysis;
    const { changing, consumed, apart } = changingCtes(statement, analysis, this.#onlyReads);
    this.apart.push(...apart);
    for (const { cte, statement: change } of changing) {
      const level = analysis.changes.get(cte)!;
      const columns = level.outputs.length === 0 ? [] : columnsOf(level);
      if (columns === null) {
        refuse(
          `RETURNING of WITH query "${cte.ctename ?? ''}" over several shards needs one name for each column`,
          'Name its columns, each with AS and a name of its own.',
        );
      }
      const input = this.#add(
        `WITH ${cte.ctename ?? ''}`,
        sourceText(change, this.#context),
        columns,
      );
      this.changes.add(input.input);
      const pieces = columns.length === 0 ? ['SELECT'] : ['SELECT * FROM ', input, INPUT_AS];
      this.#replaceCte(cte, pieces, skip, done);
    }
    for (const cte of consumed) {
      const width = Math.max(1, cte.aliascolnames?.length ?? 0);
      this.#replaceCte(cte, [`SELECT ${Array(width).fill('NULL').join(', ')}`], skip, done);
    }
  }

  #replaceCte(
    cte: CommonTableExpr,
    pieces: readonly FinalPiece[],
    skip: Set<object>,
    done: Set<Level>,
  ): void {
    const { start, end } = cteBody(cte, this.#text.tokens);
    this.#text.replace({ start, end, pieces });
    skip.add(bodyOf(cte.ctequery!));
    for (const level of levelsBelow(levelOf(cte, this.#analysis)!, this.#analysis)) done.add(level);
  }

  /** Sub-selects and WITH queries that look at other shards and stand alone are computed once. */
  #replaceQueries(node: Node, skip: Set<object>, done: Set<Level>): void {
    if (skip.has(bodyOf(node))) return;
    const select = candidateOf(node);
    const exists = 'SubLink' in node && node.SubLink.subLinkType === 'EXISTS_SUBLINK';
    const replaced =
      select !== null &&
      !skip.has(select) &&
      this.#replaceQuery(select, exists, 'SubLink' in node, done);
    if (!replaced) {
      forEachChild(bodyOf(node), (child) => {
        this.#replaceQueries(child, skip, done);
      });
      return;
    }
    skip.add(select);
    // What the query is compared with stands beside it.
    if ('SubLink' in node && node.SubLink.testexpr !== undefined) {
      this.#replaceQueries(node.SubLink.testexpr, skip, done);
    }
  }

  /** `nameless`: nothing refers to the query's columns by name. */
  #replaceQuery(select: SelectStmt, exists: boolean, nameless: boolean, done: Set<Level>): boolean {
    const analysis = this.#analysis;
    const level = analysis.queries.get(select);
    if (level === undefined || analysis.correlated.has(level)) return false;
    const below = levelsBelow(level, analysis);
    const looksAway = analysis.occurrences.some(
      ({ entry }) => this.#strays.has(entry) && below.has(entry.level),
    );
    if (!looksAway || !hasOwnMeaning(select, below, analysis)) return false;
    if (!exists && !keepsCollations(select, analysis)) return false;
    // A column of the statement may be called as the one of its sub-select is.
    const own = columnsOf(level);
    const columns = exists ? ['sg_row'] : nameless ? (own ?? placesOf(level)) : own;
    const place = columns === null ? null : findSelect(select, this.#text, this.#context);
    if (columns === null || place === null) return false;
    const sql = exists ? `SELECT true AS sg_row WHERE EXISTS (${place.sql})` : place.sql;
    const input = this.#add(labelOf(below, this.#tables), sql, columns);
    const pieces = ['SELECT * FROM ', input, INPUT_AS];
    this.#text.replace({ start: place.start, end: place.end, pieces });
    for (const level of below) done.add(level);
    return true;
  }

  #refuseLocks(done: ReadonlySet<Level>): void {
    if (this.#analysis.levels.every((level) => !level.locking || done.has(level))) return;
    refuse(
      'row locks in sub-selects that look at other shards are not supported in this statement',
      'Bind all shard keys to one value, or lock the rows in a statement before.',
    );
  }

  /** Whether a table or view is not what the target's shards have under its name. */
  #moves(range: RangeVar): boolean {
    const analysis = this.#analysis;
    const view = analysis.views.get(range);
    if (view === undefined) {
      const entry = analysis.ranges.get(range)?.entry;
      return entry !== undefined && this.#strays.has(entry);
    }
    const below = levelsBelow(view.level, analysis);
    return analysis.occurrences.some(
      ({ entry }) => this.#strays.has(entry) && below.has(entry.level),
    );
  }

  #relation(range: RangeVar, use: ColumnUse): FinalPiece {
    const analysis = this.#analysis;
    const view = analysis.views.get(range);
    const input =
      view === undefined
        ? tableInput(range, analysis.ranges.get(range)!, '', use, analysis, this.#context)
        : viewInput(view, { kind: 'nowhere' }, use, analysis, this.#context);
    checkArrays(input);
    return this.#add(input.label, input.sql, input.columns);
  }

  /** What is read alike is read once. */
  #add(
    label: string,
    sql: string,
    columns: readonly string[],
  ): { readonly kind: 'input'; readonly input: number } {
    const bytes = Buffer.from(sql);
    const known = this.inputs.findIndex(
      (other) => bytes.equals(other.source.sql) && String(other.columns) === String(columns),
    );
    if (known >= 0) return { kind: 'input', input: known };
    const source = sourceQuery(sql, this.#analysis.params, this.#context);
    return { kind: 'input', input: this.inputs.push({ label, source, columns }) - 1 };
  }
}

/** Names for columns that nobody calls by name; null: their number is not known. */
function placesOf(level: Level): string[] | null {
  if (level.openOutputs || level.outputs.length === 0) return null;
  return level.outputs.map((_, index) => `c${index}`);
}

/** Inputs travel as arrays, which know neither collations nor keys. */
function checkArrays({ label, primaryKey, defaultCollations }: GatherInput): void {
  if (primaryKey !== null) {
    refuse(
      `GROUP BY that counts on the primary key of ${label}, in a statement that changes rows of several shards, is not supported`,
      'Name all the columns in GROUP BY.',
    );
  }
  if (!defaultCollations) {
    refuse(
      `columns of ${label} with a collation of their own, in a statement that changes rows of several shards, are not supported`,
      'Leave these columns out, or read the rows first.',
    );
  }
}

const INPUT_AS = ` AS ${INPUT_ALIAS}`;

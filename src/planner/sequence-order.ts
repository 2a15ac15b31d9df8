import type { FuncCall, InsertStmt, Node, WithClause } from '@pgsql/types';
import type { CatalogColumn, CatalogRelation } from '../keyspace/catalog.js';
import type { Table } from '../keyspace/topology.js';
import { quoteQualified } from '../sql/quote.js';
import { bodyOf, contains, forEachChild, qualifiedName, selectOf } from './ast.js';
import type { Names } from './names.js';
import { findSequence, sequenceArgument } from './sequence-names.js';
import type { StatementContext } from './statement-context.js';

/** Something of a statement that takes values of a sequence, or sets one. */
interface Counter {
  /** Qualified; null: not known. */
  readonly sequence: string | null;
  /** The proxy takes the values and fills them in, those of calls in the order in which they stand. */
  readonly isFilled: boolean;
  /** 0-based place of the column whose default it is; of calls -1. */
  readonly column: number;
}

/**
 * Whether the statement itself counts before it looks at what was counted last. Values of currval and lastval are
 * filled in before it runs, so they must be those from before, or of what the proxy counts beforehand, too.
 */
export class SequenceOrder {
  readonly #counters: readonly Counter[];
  readonly #inserted: Inserted | null;
  /** A WITH query inserts rows, whose columns may take values before the rest of the statement looks. */
  readonly #insertsBefore: boolean;

  constructor(node: Node, filled: ReadonlySet<FuncCall>, context: StatementContext) {
    const { withClause } = bodyOf(node) as { withClause?: WithClause };
    this.#insertsBefore = (withClause?.ctes ?? []).some((cte) => {
      const query = 'CommonTableExpr' in cte ? cte.CommonTableExpr.ctequery : undefined;
      return query !== undefined && 'InsertStmt' in query;
    });
    this.#inserted = 'InsertStmt' in node ? insertedBy(node.InsertStmt, context) : null;
    this.#counters = [...countingCalls(node, filled, context), ...(this.#inserted?.counters ?? [])];
  }

  /** Whether what a call of currval sees of this sequence (null: any) is known before. */
  isKnown(call: FuncCall, sequence: string | null): boolean {
    if (this.#insertsBefore) return false;
    const own = this.#counters.filter(
      (counter) => sequence === null || counter.sequence === null || counter.sequence === sequence,
    );
    if (own.length === 0) return true;
    if (own.some(({ isFilled }) => !isFilled)) return false;
    if (this.#inserted === null) return true;
    if (!this.#inserted.isOneRow) return false;
    if (this.#inserted.returns(call)) return true;
    // The columns of a row are computed in their order.
    const at = this.#inserted.columnOf(call);
    return own.every(({ column }) => column >= 0 && column < at);
  }
}

/** What an INSERT counts by itself, for columns that it gives no value. */
interface Inserted {
  readonly counters: readonly Counter[];
  readonly isOneRow: boolean;
  /** Whether the call stands in RETURNING. */
  readonly returns: (call: FuncCall) => boolean;
  /** The place of the column whose value holds the call; -1: none. */
  readonly columnOf: (call: FuncCall) => number;
}

function insertedBy(statement: InsertStmt, { names }: StatementContext): Inserted | null {
  const range = statement.relation;
  const relation =
    range === undefined ? null : names.find(range.schemaname ?? null, range.relname ?? '');
  if (range === undefined || relation === null) return null;
  const found = names.relation(range);
  const table = found.kind === 'table' ? found.table : null;
  const rows = selectOf(statement.selectStmt)?.valuesLists ?? null;
  const items = (rows ?? []).map((row) => ('List' in row ? (row.List.items ?? []) : []));
  const given = givenColumns(statement, relation, items[0]?.length ?? null);
  const ignoresGiven = statement.override === 'OVERRIDING_USER_VALUE';
  const { kind, hasTriggersOrRules } = relation;
  const isFilled = table?.keyspace.sharded === true || (kind === 'r' && !hasTriggersOrRules);
  const counters = relation.columns.flatMap((column, place): Counter[] => {
    const sequence = countedFor(column, table, names);
    if (sequence === undefined) return [];
    const at = given.indexOf(column.name);
    const isDefault = items.some((row) => row[at] !== undefined && 'SetToDefault' in row[at]);
    const counts = at < 0 || isDefault || (ignoresGiven && column.identity !== '');
    return counts ? [{ sequence, isFilled, column: place }] : [];
  });
  return {
    // The columns of a view are those of others.
    counters: kind === 'v' ? [{ sequence: null, isFilled: false, column: -1 }] : counters,
    isOneRow: statement.selectStmt === undefined || items.length === 1,
    returns: (call) => holds(statement.returningClause, call),
    columnOf(call) {
      const at = items[0]?.findIndex((value) => holds(value, call)) ?? -1;
      return at < 0 ? -1 : relation.columns.findIndex(({ name }) => name === given[at]);
    },
  };
}

/** The columns for which an INSERT has values, in the order of these; `width`: of its rows, null: not known. */
function givenColumns(
  { cols }: InsertStmt,
  { columns }: CatalogRelation,
  width: number | null,
): string[] {
  if (cols === undefined) return columns.slice(0, width ?? 0).map(({ name }) => name);
  return cols.map((target) => ('ResTarget' in target ? (target.ResTarget.name ?? '') : ''));
}

/** The sequence that counts values of the column, null where it is not known; undefined: none. */
function countedFor(
  column: CatalogColumn,
  table: Table | null,
  { catalog }: Names,
): string | null | undefined {
  const ids = table?.ids;
  const isId = ids?.column === column.name && ids.from === 'sequence';
  if (!isId && column.defaultKind !== 'sequence' && column.identity === '') return undefined;
  const name = (isId ? ids.sequence : null) ?? column.sequence;
  const sequence = name === undefined ? undefined : catalog.relations.get(name);
  return sequence === undefined ? null : nameOf(sequence);
}

const COUNTING: ReadonlySet<string> = new Set(['nextval', 'setval']);

/** `filled`: calls whose values the proxy fills in, if they count. */
function countingCalls(
  node: Node,
  filled: ReadonlySet<FuncCall>,
  { constants, names }: StatementContext,
): Counter[] {
  const found: Counter[] = [];
  const visit = (child: Node): void => {
    if ('FuncCall' in child) {
      const call = child.FuncCall;
      const { name } = qualifiedName(call.funcname);
      if (COUNTING.has(name)) {
        const path = sequenceArgument(call, constants, names);
        const sequence = path === null ? null : findSequence(path, names);
        const isFilled = name === 'nextval' && filled.has(call);
        found.push({ sequence: sequence === null ? null : nameOf(sequence), isFilled, column: -1 });
      }
    }
    forEachChild(bodyOf(child), visit);
  };
  visit(node);
  return found;
}

/** As sources of ids have it. */
function nameOf({ schema, name }: CatalogRelation): string {
  return quoteQualified(schema, name);
}

function holds(tree: unknown, call: FuncCall): boolean {
  return contains(tree, 'FuncCall', (node) => 'FuncCall' in node && node.FuncCall === call);
}

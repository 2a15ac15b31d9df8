import type { ColumnRef, Node, RangeVar, TypeName } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, qualifiedName, stringOf, stringsOf } from '../ast.js';
import { isAggregate } from '../functions.js';
import type { Entry } from '../model.js';
import { namingInside, type Naming } from '../output-naming.js';
import type { FinalPiece } from '../plan.js';
import { refuse } from '../refusals.js';
import { nameOf } from './column-use.js';
import type { StatementText } from './text-edits.js';

/** Built-in functions that look at a row's columns and not at the type it has a name for. */
const rowFunctions = new Set(
  (
    'count row_to_json to_json to_jsonb json_agg jsonb_agg json_build_array jsonb_build_array ' +
    'json_build_object jsonb_build_object json_object_agg jsonb_object_agg num_nulls num_nonnulls'
  ).split(' '),
);

/** A whole row where the type of what stands in for its table may be seen. */
interface SeenRow {
  readonly reference: ColumnRef;
  readonly parent: Node;
  readonly relation: CatalogRelation;
  readonly naming: Naming;
}

/**
 * Whole rows of tables that are brought from elsewhere: on the home they are rows of another type,
 * or of none. Where that may be seen they are written as rows of the table's own type:
 *
 *     SELECT o FROM orders o ...   SELECT ROW(o.id, o.total)::public.orders AS o FROM <input> o ...
 *
 * Where that would be another expression than is meant, as behind ORDER BY or GROUP BY, what stands in
 * is made of rows of that type, which costs more:
 *
 *     ... FROM orders o ORDER BY o    ... FROM unnest(ARRAY(SELECT ROW(...)::public.orders FROM <input>)) o ORDER BY o
 */
export class WholeRows {
  readonly #statement: Node;
  readonly #skip: ReadonlySet<object>;
  readonly #moved: readonly RangeVar[];
  readonly #analysis: Analysis;
  /** Names of tables of which what stands in must be made of rows of the table's type. */
  readonly #typed = new Set<string>();

  /**
   * @param skip queries that are not looked into
   * @param moved names of tables and views that something else stands in for
   */
  constructor(
    statement: Node,
    skip: ReadonlySet<object>,
    moved: readonly RangeVar[],
    analysis: Analysis,
  ) {
    this.#statement = statement;
    this.#skip = skip;
    this.#moved = moved;
    this.#analysis = analysis;
  }

  /** Writes the rows of which that is certain; the others are left to `typedRelation`. */
  giveTypes(text: StatementText): void {
    const seen: SeenRow[] = [];
    this.#visit(this.#statement, null, 'none', seen);
    for (const row of seen) {
      const alias = aliasOf(row.reference);
      if (!this.#moved.some((range) => nameOf(range) === alias)) refuseRow(row.relation);
      if (!this.#isWritable(row, alias)) this.#typed.add(alias);
    }
    for (const row of seen) {
      const { reference, naming } = row;
      if (this.#typed.has(aliasOf(reference))) continue;
      const name = naming === 'own' ? ` AS ${quoteIdentifier(aliasOf(reference))}` : '';
      text.replaceReference(reference, this.#written(row) + name);
    }
  }

  /**
   * What stands in a table's place, made of rows of its type where its rows must have that. Throws
   * Refused where GROUP BY needs the table's primary key, which rows of a function have not.
   * @param grouped whether it does
   */
  typedRelation(
    range: RangeVar,
    pieces: readonly FinalPiece[],
    grouped: boolean,
  ): readonly FinalPiece[] {
    if (!this.#typed.has(nameOf(range))) return pieces;
    const { relation } = this.#sourceOf(range);
    if (grouped) refuseRow(relation);
    const row = rowOf(relation, 'sg_row', []);
    return [`pg_catalog.unnest(ARRAY(SELECT ${row} FROM `, ...pieces, ' AS sg_row))'];
  }

  #visit(node: Node, parent: Node | null, naming: Naming, seen: SeenRow[]): void {
    const reference = columnRefOf(node);
    if (reference !== null) {
      const relation = parent === null ? null : this.#rowOf(reference, parent);
      if (relation !== null && !this.#showsAlike(reference, parent!)) {
        if ((reference.fields?.length ?? 0) > 2) refuseRow(relation);
        seen.push({ reference, parent: parent!, relation, naming });
      }
      return;
    }
    if (this.#skip.has(bodyOf(node))) return;
    const inner = namingInside(node, naming);
    forEachChild(bodyOf(node), (child) => {
      this.#visit(child, node, inner, seen);
    });
  }

  /** Whether nothing can tell the row of what stands in from the table's own. */
  #showsAlike(reference: ColumnRef, parent: Node): boolean {
    if (!looksAtColumns(parent, this.#analysis)) return false;
    // The table's row has the table's own names, whatever its columns are called in FROM; JSON shows them.
    const alias = aliasOf(reference);
    return !(
      'FuncCall' in parent &&
      this.#moved.some((range) => nameOf(range) === alias && range.alias?.colnames !== undefined)
    );
  }

  /** The moved relation whose row a reference is; null: it is none. */
  #rowOf(reference: ColumnRef, parent: Node): CatalogRelation | null {
    const relationOf = (range: RangeVar): CatalogRelation => this.#sourceOf(range).relation;
    const row = this.#analysis.wholeRows.get(reference);
    if (row !== undefined) {
      return this.#moved.some((range) => relationOf(range) === row.relation) ? row.relation : null;
    }
    if (!isRowStar(reference, parent)) return null;
    const found = this.#moved.find((range) => nameOf(range) === aliasOf(reference));
    return found === undefined ? null : relationOf(found);
  }

  #sourceOf(range: RangeVar): { readonly relation: CatalogRelation; readonly entry: Entry } {
    return (this.#analysis.ranges.get(range) ?? this.#analysis.views.get(range))!;
  }

  /** Whether the row can be written where it stands, and means the same. */
  #isWritable({ reference, parent, naming }: SeenRow, alias: string): boolean {
    const ranges = this.#moved.filter((range) => nameOf(range) === alias);
    const isCertain = this.#analysis.wholeRows.get(reference)?.isCertain ?? true;
    const isAlone = ranges.length === 1 && timesNamed(this.#statement, alias) === 1;
    // Behind ORDER BY and the like a name may be that of an output column.
    const mayBeOutput = 'SortBy' in parent || 'SelectStmt' in parent;
    if (!isCertain || !isAlone || mayBeOutput || naming === 'inherited') return false;
    // What an outer join adds is null, and no row of nulls; a group has no such row to be asked.
    const { nullable, level } = this.#sourceOf(ranges[0]!).entry;
    return !nullable || !level.grouped || isAggregated(parent, this.#analysis);
  }

  /** The row as an expression of the table's type. */
  #written({ reference, relation }: SeenRow): string {
    const alias = aliasOf(reference);
    const range = this.#moved.find((other) => nameOf(other) === alias)!;
    const row = rowOf(relation, alias, stringsOf(range.alias?.colnames));
    if (!this.#sourceOf(range).entry.nullable) return row;
    return `CASE WHEN ${quoteIdentifier(alias)}.* IS DISTINCT FROM NULL THEN ${row} END`;
  }
}

/**
 * A row of a relation's type, of what goes by the name `alias`.
 * @param given the first columns' names there
 */
function rowOf(relation: CatalogRelation, alias: string, given: readonly string[]): string {
  const table = quoteIdentifier(alias);
  const columns = relation.columns.map(
    ({ name }, index) => `${table}.${quoteIdentifier(given[index] ?? name)}`,
  );
  return `ROW(${columns.join(', ')})::${quoteQualified(relation.schema, relation.name)}`;
}

/** How often something in a statement has this name as a relation. */
function timesNamed(statement: Node, name: string): number {
  let times = 0;
  const visit = (node: Node): void => {
    const body = bodyOf(node) as NamesRelation;
    if ('RangeVar' in node) times += nameOf(node.RangeVar) === name ? 1 : 0;
    else if (body.alias?.aliasname === name) times++;
    if (body.join_using_alias?.aliasname === name || body.ctename === name) times++;
    forEachChild(body, visit);
  };
  visit(statement);
  return times;
}

interface NamesRelation {
  readonly alias?: { readonly aliasname?: string };
  readonly join_using_alias?: { readonly aliasname?: string };
  readonly ctename?: string;
}

/** The table's name in `o` and `o.*`. */
function aliasOf(reference: ColumnRef): string {
  return stringsOf(reference.fields).at(-1) ?? '';
}

/**
 * Whether `o.*` is the row as one value: everywhere but among outputs and the items of rows, where
 * it is its columns (PostgreSQL 18, 8.16.5).
 */
export function isRowStar(reference: ColumnRef, parent: Node): boolean {
  const fields = reference.fields ?? [];
  if (fields.length < 2 || stringOf(fields.at(-1)) !== null) return false;
  return !('ResTarget' in parent || 'RowExpr' in parent || 'List' in parent);
}

function refuseRow(relation: CatalogRelation): never {
  refuse(
    `rows of table "${relation.name}" as values are not supported over several shards`,
    'Name its columns, or use row_to_json().',
  );
}

function looksAtColumns(node: Node, analysis: Analysis): boolean {
  if ('NullTest' in node || 'A_Indirection' in node) return true;
  // Every row is written alike.
  if ('TypeCast' in node) return isText(node.TypeCast.typeName, analysis);
  if (!('FuncCall' in node)) return false;
  const { schema, name } = qualifiedName(node.FuncCall.funcname);
  return rowFunctions.has(name) && analysis.names.userFunctions(schema, name).length === 0;
}

function isAggregated(node: Node, analysis: Analysis): boolean {
  return 'FuncCall' in node && isAggregate(node.FuncCall, analysis);
}

function isText(type: TypeName | undefined, { names }: Analysis): boolean {
  return (
    type !== undefined && type.arrayBounds === undefined && names.typeOid(type) === TypeOid.text
  );
}

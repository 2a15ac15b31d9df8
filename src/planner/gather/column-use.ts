import type {
  ColumnRef,
  JoinExpr,
  Node,
  RangeVar,
  ReturningClause,
  SelectStmt,
  SubLink,
} from '@pgsql/types';
import { bodyOf, columnRefOf, forEachChild, selectOf, stringOf, stringsOf } from '../ast.js';

/**
 * Which columns of its tables a statement may speak of, found by name alone: a column is needed
 * where its name occurs anywhere as a column's name, unless another table's name stands before it.
 * So every name means what it meant when the other columns are gone.
 */
export class ColumnUse {
  /** Base tables and WITH queries where the statement names them, in no order. */
  readonly ranges: RangeVar[] = [];
  /** Column references with more than a table's name before the column's. */
  readonly longReferences: ColumnRef[] = [];
  /** Names of columns that stand alone: those of any table. */
  readonly #names = new Set<string>();
  /** Names of columns by the table's name before them. */
  readonly #qualified = new Map<string, Set<string>>();
  /** Tables of which every column is needed, in order: `*`, NATURAL, names given by place. */
  readonly #whole = new Set<RangeVar>();
  /** Names before `.*`, and names that stand alone: they may be whole rows. */
  readonly #wholeNames = new Set<string>();
  readonly #joins: { readonly name: string; readonly ranges: readonly RangeVar[] }[] = [];
  readonly #skip: ReadonlySet<object>;

  /** `skip`: nodes that are not looked into. */
  constructor(statement: Node, skip: ReadonlySet<object> = new Set()) {
    this.#skip = skip;
    this.#visit(statement);
    if ('UpdateStmt' in statement) {
      const { fromClause, returningClause } = statement.UpdateStmt;
      this.#returning(returningClause, fromClause);
    } else if ('DeleteStmt' in statement) {
      const { usingClause, returningClause } = statement.DeleteStmt;
      this.#returning(returningClause, usingClause);
    }
    for (const { name, ranges } of this.#joins) {
      if (this.#wholeNames.has(name)) this.#mark(ranges);
      this.#add([...(this.#qualified.get(name) ?? [])]);
    }
  }

  /** Whether every column of the table is needed, in the table's order. */
  needsAll(range: RangeVar): boolean {
    return this.#whole.has(range) || this.#wholeNames.has(nameOf(range));
  }

  needs(range: RangeVar, column: string): boolean {
    return this.needsAll(range) || this.names(range, column);
  }

  /** Whether something is called as this column of the table is. */
  names(range: RangeVar, column: string): boolean {
    return this.#names.has(column) || this.#qualified.get(nameOf(range))?.has(column) === true;
  }

  #visit(node: Node): void {
    if (this.#skip.has(bodyOf(node))) return;
    if ('ColumnRef' in node) this.#column(node.ColumnRef);
    else if ('RangeVar' in node) this.#range(node.RangeVar);
    else if ('JoinExpr' in node) this.#join(node.JoinExpr);
    else if ('SubLink' in node) this.#subLink(node.SubLink);
    else if ('SelectStmt' in node) this.#select(node.SelectStmt, true);
    else {
      if ('A_Indirection' in node) this.#add(stringsOf(node.A_Indirection.indirection));
      this.#children(bodyOf(node));
    }
  }

  #children(body: unknown): void {
    forEachChild(body, (child) => {
      this.#visit(child);
    });
  }

  #column(reference: ColumnRef): void {
    const fields = reference.fields ?? [];
    const names = stringsOf(fields);
    if (fields.length > 2) this.longReferences.push(reference);
    const star = stringOf(fields.at(-1)) === null;
    if (!star) this.#name(names.at(-1)!, names.at(-2));
    const whole = star || fields.length === 1 ? names.at(-1) : undefined;
    if (whole !== undefined) this.#wholeNames.add(whole);
  }

  #name(column: string, table: string | undefined): void {
    if (table === undefined) {
      this.#names.add(column);
      return;
    }
    const known = this.#qualified.get(table);
    if (known === undefined) this.#qualified.set(table, new Set([column]));
    else known.add(column);
  }

  #range(range: RangeVar): void {
    this.ranges.push(range);
    if (range.alias?.colnames !== undefined) this.#whole.add(range);
  }

  #join(join: JoinExpr): void {
    const ranges = rangesOf({ JoinExpr: join });
    if (join.isNatural === true || join.alias?.colnames !== undefined) this.#mark(ranges);
    for (const alias of [join.alias, join.join_using_alias]) {
      if (alias?.aliasname !== undefined) this.#joins.push({ name: alias.aliasname, ranges });
    }
    this.#add(stringsOf(join.usingClause));
    this.#children(join);
  }

  /** What a plain EXISTS selects does not matter, and `*` is what people write there. */
  #subLink(link: SubLink): void {
    const select = link.subLinkType === 'EXISTS_SUBLINK' ? selectOf(link.subselect) : null;
    const { fromClause, distinctClause, groupClause, sortClause } = select ?? {};
    const shaped = distinctClause ?? groupClause ?? sortClause;
    if (select === null || fromClause === undefined || shaped !== undefined) {
      this.#children(link);
    } else if (!this.#skip.has(select)) this.#select(select, false);
  }

  #select(select: SelectStmt, starCounts: boolean): void {
    const starred = (select.targetList ?? []).some(isBareStar);
    if (starred && starCounts) {
      for (const item of select.fromClause ?? []) this.#mark(rangesOf(item));
    }
    const { larg, rarg, ...own } = select;
    this.#children(own);
    for (const arm of [larg, rarg]) if (arm !== undefined) this.#select(arm, true);
  }

  /** RETURNING * gives out what the target is joined with, too. */
  #returning(clause: ReturningClause | undefined, from: readonly Node[] | undefined): void {
    if (!(clause?.exprs ?? []).some(isBareStar)) return;
    for (const item of from ?? []) this.#mark(rangesOf(item));
  }

  #mark(ranges: readonly RangeVar[]): void {
    for (const range of ranges) this.#whole.add(range);
  }

  #add(names: readonly string[]): void {
    for (const name of names) this.#names.add(name);
  }
}

/** `*` as it stands; a star behind a name is found as a reference. */
function isBareStar(target: Node): boolean {
  const reference = 'ResTarget' in target ? columnRefOf(target.ResTarget.val) : null;
  return reference?.fields?.length === 1 && stringOf(reference.fields[0]) === null;
}

/** The tables that a FROM item joins, without those of sub-selects in it. */
function rangesOf(item: Node): RangeVar[] {
  if ('RangeVar' in item) return [item.RangeVar];
  if (!('JoinExpr' in item)) return [];
  const { larg, rarg } = item.JoinExpr;
  return [larg, rarg].flatMap((side) => (side === undefined ? [] : rangesOf(side)));
}

/** The name that a table goes by. */
export function nameOf(range: RangeVar): string {
  return range.alias?.aliasname ?? range.relname ?? '';
}

import type { Node, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import { deparse, deparseExpression } from '../../sql/deparse.js';
import { sameTree } from '../../sql/same-tree.js';
import type { Analysis } from '../analysis.js';
import { contains, qualifiedName } from '../ast.js';
import { bareColumn } from '../expressions.js';
import { isBytes, namesBytesOnly, typesMayCollate } from '../collations.js';
import { keepsCollations, usedColumns } from '../gather/pushed-queries.js';
import type { Level } from '../model.js';
import type { StatementContext } from '../statement-context.js';

/** A SELECT that is planned for several shards, with what is known of it. */
export class ScatterContext {
  readonly statement: SelectStmt;
  readonly top: Level;
  readonly analysis: Analysis;
  readonly #context: StatementContext;

  constructor(statement: SelectStmt, top: Level, analysis: Analysis, context: StatementContext) {
    this.statement = statement;
    this.top = top;
    this.analysis = analysis;
    this.#context = context;
  }

  /** The statement with other clauses, as text; null where it cannot be written for certain. */
  text(changes: Partial<SelectStmt>, drop: readonly (keyof SelectStmt)[]): string | null {
    const select: SelectStmt = { ...this.statement, ...changes };
    for (const clause of drop) delete select[clause];
    if (select.limitCount === undefined && select.limitOffset === undefined) {
      select.limitOption = 'LIMIT_OPTION_DEFAULT';
    }
    return this.write({ SelectStmt: select });
  }

  write(node: Node): string | null {
    return deparse(node, this.#context.parser);
  }

  expression(node: Node): string | null {
    return deparseExpression(node, this.#context.parser);
  }

  /** A plan that holds SQL text serves texts with the same literals only. */
  dependOnLiterals(): void {
    this.#context.constants.dependOnAll();
  }

  /** The names of the result's columns, quoted. */
  outputNames(): string[] {
    return this.top.outputs.map(({ name }) => quoteAlways(name ?? '?column?'));
  }

  /** Equal values of some column may differ, so that it matters which one stands for a group. */
  get hasOddEquality(): boolean {
    return this.#relations().some(({ columns }) =>
      columns.some(({ deterministicCollation }) => !deterministicCollation),
    );
  }

  /** Whether an expression may give several rows. */
  returnsSets(expression: Node): boolean {
    const { names } = this.analysis;
    return contains(expression, 'FuncCall', (node) => {
      const { schema, name } = qualifiedName('FuncCall' in node ? node.FuncCall.funcname : []);
      if (names.catalog.setReturning.has(name)) return true;
      return names.userFunctions(schema, name).some(({ returnsSet }) => returnsSet !== false);
    });
  }

  /** Equal as written, or one and the same column by different names (`status`, `o.status`). */
  isSame(a: Node, b: Node): boolean {
    if (sameTree(a, b)) return true;
    const place = this.analysis.places.get(this.top);
    if (place === undefined || !('ColumnRef' in a && 'ColumnRef' in b)) return false;
    const variable = bareColumn(a, place, this.analysis);
    return variable !== null && variable === bareColumn(b, place, this.analysis);
  }

  /** Every text value that is spoken of has the database's default collation, and nothing names another one. */
  get defaultCollations(): boolean {
    return keepsCollations(this.statement, this.analysis);
  }

  /** Text compares by its bytes, whatever of this statement it is. */
  get textByBytes(): boolean {
    const { statement, analysis } = this;
    const { names } = analysis;
    if (names.catalog.textByBytes !== true || !namesBytesOnly(statement)) return false;
    const used = usedColumns(statement, analysis);
    const byBytes = used.every(({ collation }) => collation === 'default' || collation === 'bytes');
    return byBytes && !typesMayCollate(statement, used, names);
  }

  /** An expression compares by its bytes where it is text, whatever the rest of the statement is. */
  comparesByBytes(expression: Node): boolean {
    if (isBytes(expression)) return true;
    const place = this.analysis.places.get(this.top);
    const isColumn = place !== undefined && 'ColumnRef' in expression;
    const variable = isColumn ? bareColumn(expression, place, this.analysis) : null;
    const relation = variable === null ? undefined : this.analysis.tables.get(variable.entry);
    const column = relation?.relation.columns.find(({ name }) => name === variable!.name);
    if (column?.collation === 'bytes') return true;
    return column?.collation === 'default' && this.analysis.names.catalog.textByBytes === true;
  }

  /** Tables and views: what a view's query does with collations shows in the view's columns. */
  #relations(): CatalogRelation[] {
    const { occurrences, views } = this.analysis;
    return [...occurrences, ...views.values()].map(({ relation }) => relation);
  }
}

/** Quotes even what need not be, so that a name such as `t` is never taken for anything else. */
function quoteAlways(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

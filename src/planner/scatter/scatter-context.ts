import type { Node, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import { deparse, deparseExpression } from '../../sql/deparse.js';
import { sameTree } from '../../sql/same-tree.js';
import type { Analysis } from '../analysis.js';
import { contains, qualifiedName } from '../ast.js';
import { bareColumn } from '../expressions.js';
import { keepsCollations } from '../gather/pushed-queries.js';
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
      return names.catalog.setReturning.has(name) || names.userFunctions(schema, name).length > 0;
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

  /** Every text column that is spoken of has the database's default collation, and nothing names another one. */
  get defaultCollations(): boolean {
    return keepsCollations(this.statement, this.analysis) && !this.#castsToOwnTypes;
  }

  /** Text compares by its bytes, whatever of this statement it is. */
  get textByBytes(): boolean {
    const { catalog } = this.analysis.names;
    if (catalog.textByBytes !== true || !this.#columnsHave('default', 'bytes')) return false;
    return !contains(this.statement, 'CollateClause', (node) => {
      const names = 'CollateClause' in node ? (node.CollateClause.collname ?? []) : [];
      const last = names.at(-1);
      return last === undefined || !('String' in last) || !BYTES.has(last.String.sval ?? '');
    });
  }

  /** Tables and views: what a view's query does with collations shows in the view's columns. */
  #relations(): CatalogRelation[] {
    const { occurrences, views } = this.analysis;
    return [...occurrences, ...views.values()].map(({ relation }) => relation);
  }

  #columnsHave(...collations: readonly string[]): boolean {
    const known = this.#relations().every(({ columns }) =>
      columns.every(({ collation }) => collations.includes(collation ?? 'other')),
    );
    return known && !this.#castsToOwnTypes;
  }

  /** Casts to types made by users: a domain may have a collation of its own. */
  get #castsToOwnTypes(): boolean {
    const { names } = this.analysis;
    return contains(this.statement, 'TypeCast', (node) => {
      const type = 'TypeCast' in node ? node.TypeCast.typeName : undefined;
      return type === undefined || names.typeOid(type) === 0;
    });
  }
}

const BYTES = new Set(['C', 'POSIX', 'ucs_basic', 'pg_c_utf8']);

/** Quotes even what need not be, so that a name such as `t` is never taken for anything else. */
function quoteAlways(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

import type { Node, RangeVar, SelectStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { bodyOf, columnRefOf, contains, forEachChild, isStarTarget, stringsOf } from './ast.js';
import type { Edit } from './fill-plan.js';
import { sessionViews } from './names.js';
import type { IdSource } from './plan.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/** `list` is what stands in FROM, over rows that the session gives as JSON. */
interface SessionView {
  readonly source: (text: string) => IdSource;
  readonly head: string;
  readonly tail: string;
  /** Columns whose values only a server session would know. */
  readonly unknown: ReadonlySet<string>;
}

const views: Readonly<Record<string, SessionView>> = {
  pg_prepared_statements: {
    source: (text) => ({ kind: 'preparedStatements', types: /\bparameter_types\b/i.test(text) }),
    head:
      '(SELECT name, statement, prepare_time, ' +
      'parameter_types::pg_catalog.oid[]::pg_catalog.regtype[] AS parameter_types, from_sql ' +
      'FROM pg_catalog.json_to_recordset(',
    tail:
      '::pg_catalog.json) AS sg_rows(name pg_catalog.text, statement pg_catalog.text, ' +
      'prepare_time pg_catalog.timestamptz, parameter_types pg_catalog.int8[], ' +
      'from_sql pg_catalog.bool))',
    unknown: new Set(['result_types', 'generic_plans', 'custom_plans']),
  },
  pg_cursors: {
    source: (text) => ({ kind: 'cursors', scrolls: /\bis_scrollable\b|\*/i.test(text) }),
    head:
      '(SELECT name, statement, is_holdable, is_binary, is_scrollable, creation_time ' +
      'FROM pg_catalog.json_to_recordset(',
    tail:
      '::pg_catalog.json) AS sg_rows(name pg_catalog.text, statement pg_catalog.text, ' +
      'is_holdable pg_catalog.bool, is_binary pg_catalog.bool, is_scrollable pg_catalog.bool, ' +
      'creation_time pg_catalog.timestamptz))',
    unknown: new Set(),
  },
};

const words = new RegExp([...sessionViews].join('|'), 'i');
const decoder = new TextDecoder();

/**
 * What stands in place of the views of what a session has prepared and declared, in a SELECT: the session's own
 * rows. Throws Refused where columns are asked for that the session does not know.
 */
export function sessionViewEdits(node: Node, context: StatementContext): readonly Edit[] {
  const { bytes, textStart, start, end } = context;
  if (!('SelectStmt' in node)) return [];
  const text = decoder.decode(bytes.subarray(textStart + start, textStart + end));
  if (!words.test(text) || contains(node, 'CommonTableExpr', isNamedLikeView)) return [];
  const search = new Search(text, context);
  search.visit(node);
  return search.edits;
}

function isNamedLikeView(node: Node): boolean {
  return 'CommonTableExpr' in node && sessionViews.has(node.CommonTableExpr.ctename ?? '');
}

class Search {
  readonly edits: Edit[] = [];
  readonly #text: string;
  readonly #context: StatementContext;
  readonly #tokens: Tokens;

  constructor(text: string, context: StatementContext) {
    const { bytes, textStart, start, end } = context;
    this.#text = text;
    this.#context = context;
    this.#tokens = new Tokens(bytes, textStart, start, end);
  }

  visit(node: Node): void {
    if ('RangeVar' in node) this.#replace(node.RangeVar);
    if ('SelectStmt' in node) this.#checkColumns(node.SelectStmt, node);
    forEachChild(bodyOf(node), (child) => this.visit(child));
  }

  /** The view that a name in FROM stands for. */
  #viewOf(range: RangeVar): SessionView | null {
    const { names } = this.#context;
    const { schemaname: schema = null, relname: name = '', inh } = range;
    const view = sessionViews.has(name) && inh === true ? views[name] : undefined;
    if (view === undefined || names.find(schema, name)?.schema !== 'pg_catalog') return null;
    return view;
  }

  #replace(range: RangeVar): void {
    const view = this.#viewOf(range);
    const tokens = this.#tokens;
    const first = tokens.at(range.location ?? 0);
    if (view === null || first < 0) return;
    const last = tokens.dottedEnd(first);
    if (tokens.is(last + 1, '*')) return;
    const alias = range.alias === undefined ? ` AS ${range.relname ?? ''}` : '';
    const slot = { source: view.source(this.#text) };
    this.edits.push({
      start: tokens.start(first),
      end: tokens.end(last),
      pieces: [view.head, slot, view.tail, alias],
    });
  }

  /** Columns that are missing here must not be asked for by a name, by `*` or in a whole row. */
  #checkColumns(select: SelectStmt, node: Node): void {
    for (const source of select.fromClause ?? []) {
      this.#checkSource(source, select, node);
    }
  }

  #checkSource(source: Node, select: SelectStmt, node: Node): void {
    if ('JoinExpr' in source) {
      const { larg, rarg } = source.JoinExpr;
      for (const side of [larg, rarg]) {
        if (side !== undefined) this.#checkSource(side, select, node);
      }
      return;
    }
    const view = 'RangeVar' in source ? this.#viewOf(source.RangeVar) : null;
    if (!('RangeVar' in source) || view === null || view.unknown.size === 0) return;
    const { alias, relname = '' } = source.RangeVar;
    const own = alias?.aliasname ?? relname;
    const asks = contains(node, 'ColumnRef', (reference) => {
      const fields = columnRefOf(reference)?.fields ?? [];
      const named = stringsOf(fields);
      const isWhole = fields.length === 1 && named[0] === own;
      return isWhole || view.unknown.has(named.at(-1) ?? '');
    });
    const stars = (select.targetList ?? []).some(isStarTarget);
    if (!asks && !stars && alias?.colnames === undefined) return;
    refuse(
      `columns of ${relname} that only one server session knows (${[...view.unknown].join(', ')}) are not supported`,
      'Name the columns that are wanted: name, statement, prepare_time, parameter_types, from_sql.',
    );
  }
}

import type { FuncCall, Node, SQLValueFunction } from '@pgsql/types';
import type { Catalog, CatalogRelation } from '../keyspace/catalog.js';
import type { Shard } from '../keyspace/topology.js';
import { Tokens } from '../sql/tokens.js';
import { bodyOf, constOf, contains, forEachChild, qualifiedName } from './ast.js';
import { clockWords } from './expressions.js';
import { fillPlan, type Edit } from './fill-plan.js';
import { functionReach } from './function-reach.js';
import { namingInside, type Naming } from './output-naming.js';
import {
  defaultEdits,
  momentDefaults,
  takesMoments,
  type MomentDefaults,
} from './moment-defaults.js';
import type { FillPlan, FillSlot, IdSource, Plan } from './plan.js';
import { relationsNamed } from './relation-names.js';
import { isOneKey } from './routing.js';
import { inValue } from './scatter/moment.js';
import type { StatementContext } from './statement-context.js';

const words = /now|_timestamp|current_(date|time)|localtime|\bage\b/i;
const decoder = new TextDecoder();

/** What SQLValueFunctions make of the time of the transaction: a type that it is cast to. */
const VALUE_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['SVFOP_CURRENT_DATE', 'date'],
  ['SVFOP_CURRENT_TIME', 'timetz'],
  ['SVFOP_CURRENT_TIME_N', 'timetz'],
  ['SVFOP_CURRENT_TIMESTAMP', 'timestamptz'],
  ['SVFOP_CURRENT_TIMESTAMP_N', 'timestamptz'],
  ['SVFOP_LOCALTIME', 'time'],
  ['SVFOP_LOCALTIME_N', 'time'],
  ['SVFOP_LOCALTIMESTAMP', 'timestamp'],
  ['SVFOP_LOCALTIMESTAMP_N', 'timestamp'],
]);

/**
 * A statement for several shards that puts the time of its transaction into what it computes. Each of
 * them has a time of its own, so it is asked for once and written into the text. Null: it does not,
 * or one server tells the time, or not every place in the text where that happens can be found.
 */
export function momentPlan(node: Node, plan: Plan, context: StatementContext): FillPlan | null {
  const isWanted = context.oneMoment === true;
  const shards = isWanted && plan.kind !== 'fill' ? [] : shardsOf(plan);
  // What is copied has no parameters, which the time would be one of.
  if (shards === null || 'CopyStmt' in node) return null;
  if (!isWanted && !tellsTime(node) && !takesTime(node, context)) return null;
  const edits = momentEdits(node, shards, context);
  return edits.length === 0 ? null : fillPlan(plan.verb, edits, context);
}

/** Where the time may be asked for, one of these; null: the plan needs one shard only. */
function shardsOf(plan: Plan): readonly Shard[] | null {
  if (plan.kind !== 'route' || plan.many.kind === 'refuse') return null;
  const { shards } = plan;
  switch (shards.kind) {
    case 'keys':
      return isOneKey(shards) ? null : shards.keyspace.shards;
    case 'all':
      return shards.keyspace.shards.length > 1 ? shards.keyspace.shards : null;
    case 'nowhere':
      return [];
    default:
      return null;
  }
}

/** What stands in place of the calls that tell the time; none where something else may tell it too. */
export function momentEdits(
  node: Node,
  shards: readonly Shard[],
  context: StatementContext,
): readonly Edit[] {
  const { bytes, textStart, start, end } = context;
  const text = decoder.decode(bytes.subarray(textStart + start, textStart + end));
  const defaults = momentDefaults(node, context.names, shards);
  if (!words.test(text) && !takesMoments(defaults)) return [];
  const search = new Search(shards, context);
  search.visit(node, 'none');
  search.fillDefaults(defaults);
  const isFound = !search.unclear && !(search.inherits && regroups(node));
  return isFound ? search.edits : [];
}

/** Whether a statement computes something with the time by itself, but for what only chooses rows. */
export function tellsTime(node: Node): boolean {
  return inValue(node, NO_FUNCTIONS);
}

const NO_FUNCTIONS: ReadonlySet<string> = new Set();

/** Whether a statement leaves the time to a column's default, but for rows of INSERT. */
export function takesTime(node: Node, { names }: StatementContext): boolean {
  return takesMoments(momentDefaults(node, names, []));
}

/** Expressions of its output may have to be the same ones as others, of which the text stays. */
function regroups(node: Node): boolean {
  return contains(
    node,
    'SelectStmt',
    (part) =>
      'SelectStmt' in part &&
      (part.SelectStmt.groupClause ?? part.SelectStmt.distinctClause) !== undefined,
  );
}

/** Whether a view, or one that it reads, may tell the time. */
function mayTell({ viewDefinition = '' }: CatalogRelation, catalog: Catalog): boolean {
  if (words.test(viewDefinition)) return true;
  return (viewDefinition.match(/\w+/g) ?? []).some(
    (word) =>
      (catalog.functions.get(word) ?? []).some(({ volatility }) => volatility !== 'i') ||
      // No view reads itself.
      relationsNamed(catalog, word).some(
        (other) =>
          other.viewDefinition !== undefined &&
          other.viewDefinition !== viewDefinition &&
          mayTell(other, catalog),
      ),
  );
}

function isInsertingQuery(node: Node): boolean {
  const query = 'CommonTableExpr' in node ? node.CommonTableExpr.ctequery : undefined;
  return query !== undefined && 'InsertStmt' in query;
}

class Search {
  readonly edits: Edit[] = [];
  /** Something else may tell the time, or a call is not where it seems. */
  unclear = false;
  /** The name of an output column depends on a call inside of it. */
  inherits = false;
  readonly #context: StatementContext;
  readonly #tokens: Tokens;
  readonly #ofTransaction: FillSlot;
  readonly #ofStatement: FillSlot;

  constructor(shards: readonly Shard[], context: StatementContext) {
    const { bytes, textStart, start, end } = context;
    this.#context = context;
    this.#tokens = new Tokens(bytes, textStart, start, end);
    const source = (of: 'transaction' | 'statement'): IdSource => ({ kind: 'moment', of, shards });
    this.#ofTransaction = { source: source('transaction') };
    this.#ofStatement = { source: source('statement') };
  }

  fillDefaults(defaults: MomentDefaults): void {
    const edits = defaultEdits(defaults, this.#tokens);
    if (edits === null) this.unclear = true;
    else this.edits.push(...edits);
  }

  visit(node: Node, naming: Naming): void {
    if ('SQLValueFunction' in node) return this.#valueFunction(node.SQLValueFunction, naming);
    if ('FuncCall' in node && this.#call(node.FuncCall, naming)) return;
    if ('A_Const' in node && clockWords.test(constOf(node)?.sval?.sval ?? '')) this.unclear = true;
    if ('RangeVar' in node) {
      const { names } = this.#context;
      const view = names.view(node.RangeVar);
      if (view !== null && mayTell(view, names.catalog)) this.unclear = true;
    }
    // Its defaults are the shard's own, with which the rest of the statement may compare.
    if (this.#context.oneMoment === true && isInsertingQuery(node)) this.unclear = true;
    const inner = namingInside(node, naming);
    forEachChild(bodyOf(node), (child) => {
      this.visit(child, inner);
    });
  }

  /** True: the call was replaced. */
  #call(call: FuncCall, naming: Naming): boolean {
    const { schema, name } = qualifiedName(call.funcname);
    const { names } = this.#context;
    const overloads = names.userFunctions(schema, name);
    for (const overload of overloads) {
      const reach = overload.volatility === 'i' ? null : functionReach(overload, names.catalog);
      if (reach !== null && (typeof reach === 'string' || reach.tellsMoment)) this.unclear = true;
    }
    if (overloads.length > 0 || (schema !== null && schema !== 'pg_catalog')) return false;
    const start = call.location ?? -1;
    const open = this.#openOf(start);
    if (name === 'age' && call.args?.length === 1) {
      // It begins with the day of the transaction.
      const at = open < 0 ? -1 : this.#tokens.end(open);
      if (at < 0) this.unclear = true;
      const pieces = [this.#ofTransaction, '::pg_catalog.timestamptz::pg_catalog.date, '];
      this.#add({ start: at, end: at, pieces });
      return false;
    }
    const isTransactions = name === 'now' || name === 'transaction_timestamp';
    if (!isTransactions && name !== 'statement_timestamp') return false;
    const close = open < 0 ? -1 : this.#tokens.closing(open);
    if (close < 0) this.unclear = true;
    else {
      const slot = isTransactions ? this.#ofTransaction : this.#ofStatement;
      const pieces = [slot, '::pg_catalog.timestamptz'];
      this.#replace(start, this.#tokens.end(close), pieces, naming, name);
    }
    return true;
  }

  /** The parenthesis behind the name that begins at an offset; -1: there is none. */
  #openOf(start: number): number {
    const first = this.#tokens.at(start);
    const open = first < 0 ? -1 : this.#tokens.dottedEnd(first) + 1;
    return open > 0 && this.#tokens.is(open, '(') ? open : -1;
  }

  #valueFunction({ op, typmod, location }: SQLValueFunction, naming: Naming): void {
    const type = op === undefined ? undefined : VALUE_FUNCTIONS.get(op);
    if (op === undefined || type === undefined) return;
    const tokens = this.#tokens;
    const start = location ?? -1;
    const first = tokens.at(start);
    const hasDigits = op.endsWith('_N');
    const last = hasDigits && first >= 0 ? tokens.closing(first + 1) : first;
    if (last < 0) {
      this.unclear = true;
      return;
    }
    const cast = type === 'timestamptz' ? '' : `::pg_catalog.${type}`;
    const digits = hasDigits ? `(${typmod ?? 0})` : '';
    const pieces = [this.#ofTransaction, `::pg_catalog.timestamptz${cast}${digits}`];
    const name = op.replace(/^SVFOP_/, '').replace(/_N$/, '');
    this.#replace(start, tokens.end(last), pieces, naming, name.toLowerCase());
  }

  /** `name`: what an output column is called that is nothing but the call. */
  #replace(
    start: number,
    end: number,
    value: readonly (string | FillSlot)[],
    naming: Naming,
    name: string,
  ): void {
    let pieces = [...value, ' '];
    if (naming === 'own') pieces = [...value, ` AS ${name} `];
    if (naming === 'inherited') {
      this.inherits = true;
      pieces = ['(SELECT ', ...value, ` AS ${name}) `];
    }
    this.#add({ start, end, pieces });
  }

  /** The tree holds `(a, b) = (now(), 1)` once for every column. */
  #add(edit: Edit): void {
    if (!this.edits.some(({ start }) => start === edit.start)) this.edits.push(edit);
  }
}

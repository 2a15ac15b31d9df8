import type { FuncCall, Node } from '@pgsql/types';
import { sameTree } from '../../sql/same-tree.js';
import { combinableAggregate } from '../aggregates/index.js';
import { columnRefOf, qualifiedName } from '../ast.js';
import { isAggregate } from '../functions.js';
import { isFloat4 } from './float4.js';
import type { ScatterContext } from './scatter-context.js';
import { columnOf, contains, replaced } from './tree.js';

/** An aggregate of the final statement: which one, of which columns of the input. */
export interface Combination {
  readonly aggregate: string;
  readonly columns: readonly number[];
}

/** Stands for a combination in trees until the final text is cut into pieces. */
export const COMBINE = 'sg_combine_';

/** Kinds of nodes that mean something else over partial results than over rows. */
const UNREWRITTEN = ['SubLink', 'GroupingFunc', 'JsonObjectAgg', 'JsonArrayAgg', 'SetToDefault'];

/** What each shard gives of its rows: the values it groups by (g1...) and partial results (p1...). */
export class PartialOutputs {
  readonly groups: readonly Node[];
  readonly combinations: Combination[] = [];
  readonly #scatter: ScatterContext;
  readonly #partials: Node[] = [];

  constructor(scatter: ScatterContext, groups: readonly Node[]) {
    this.#scatter = scatter;
    this.groups = groups;
  }

  get columns(): string[] {
    return [
      ...this.groups.map((_, index) => `g${index + 1}`),
      ...this.#partials.map((_, index) => `p${index + 1}`),
    ];
  }

  get targets(): Node[] {
    const { columns } = this;
    return [...this.groups, ...this.#partials].map((val, index) => ({
      ResTarget: { name: columns[index]!, val },
    }));
  }

  /**
   * An expression of the statement as one of partial results; null where it cannot be: a column
   * that is not grouped by, an aggregate that does not combine.
   */
  rewritten(expression: Node): Node | null {
    if (UNREWRITTEN.some((kind) => contains(expression, kind))) return null;
    if (this.#scatter.returnsSets(expression)) return null;
    let possible = true;
    const tree = replaced([expression], (node) => {
      const group = this.groups.findIndex((other) => this.#scatter.isSame(node, other));
      if (group >= 0) return columnOf('t', `g${group + 1}`);
      if ('FuncCall' in node && isAggregate(node.FuncCall, this.#scatter.analysis)) {
        const combined = this.#combined(node.FuncCall);
        possible &&= combined !== null;
        return combined ?? node;
      }
      if (columnRefOf(node) !== null) possible = false;
      return undefined;
    });
    return possible ? tree[0]! : null;
  }

  #combined(call: FuncCall): Node | null {
    const { schema, name } = qualifiedName(call.funcname);
    const { names } = this.#scatter.analysis;
    const aggregate = combinableAggregate(name);
    if (aggregate === null || !isPlain(call) || !['pg_catalog', null].includes(schema)) return null;
    if (names.userFunctions(schema, name).length > 0) return null;
    if (contains(call, 'SubLink') || contains(call.args, 'RowExpr')) return null;
    if (name === 'avg' && isFloat4(call.args?.[0], this.#scatter)) return null;
    const first = this.groups.length;
    const columns = aggregate
      .partials(call)
      .map((partial) => first + this.#partial({ FuncCall: partial }));
    const combination = { aggregate: name, columns };
    let index = this.combinations.findIndex((other) => sameTree(other, combination));
    if (index < 0) index = this.combinations.push(combination) - 1;
    return {
      FuncCall: {
        funcname: [{ String: { sval: `${COMBINE}${index}` } }],
        funcformat: 'COERCE_EXPLICIT_CALL',
      },
    };
  }

  #partial(call: Node): number {
    const known = this.#partials.findIndex((other) => sameTree(other, call));
    return known >= 0 ? known : this.#partials.push(call) - 1;
  }
}

/** `f(x)` or `count(*)`, FILTER or not: nothing that needs all rows at once. */
function isPlain(call: FuncCall): boolean {
  if (call.over !== undefined || call.agg_order !== undefined) return false;
  if (call.agg_distinct || call.agg_within_group || call.func_variadic) return false;
  return call.agg_star === true || call.args?.length === 1;
}

import type { FuncCall, Node } from '@pgsql/types';
import { FIRST_USER_OID, TypeOid } from '../../keyspace/type-oids.js';
import { sameTree } from '../../sql/same-tree.js';
import { combinableAggregate } from '../aggregates/index.js';
import { columnRefOf, constOf, contains, qualifiedName } from '../ast.js';
import { bareColumn } from '../expressions.js';
import { isAggregate } from '../functions.js';
import { isFloat4 } from './float4.js';
import { isGroupable } from './grouping.js';
import type { ScatterContext } from './scatter-context.js';
import { columnOf, replaced } from './tree.js';

/** An aggregate of the final statement: which one, of which columns of the input. */
export interface Combination {
  readonly aggregate: string;
  readonly columns: readonly number[];
}

/** Stands for a combination in trees until the final text is cut into pieces. */
export const COMBINE = 'sg_combine_';

/** Kinds of nodes that mean something else over partial results than over rows. */
const UNREWRITTEN = ['SubLink', 'JsonObjectAgg', 'JsonArrayAgg', 'SetToDefault'];

const { int2, int4, int8, float4, float8, numeric, interval } = TypeOid;
const NUMBERS = [int2, int4, int8, float4, float8, numeric, interval];
const { oid, date, time, timestamp, timestamptz, text, bpchar } = TypeOid;
const ORDERED = new Set([...NUMBERS, oid, date, time, timestamp, timestamptz, text, bpchar]);

/** Types for which there is an aggregate in pg_catalog that takes nothing else (PostgreSQL 15 to 18, 9.21). */
const builtinArguments: ReadonlyMap<string, ReadonlySet<number>> = new Map([
  ['min', ORDERED],
  ['max', ORDERED],
  ['sum', new Set(NUMBERS)],
  ['avg', new Set(NUMBERS)],
]);

/**
 * What each shard gives of its rows: the values it groups by (g1...), partial results (p1...), and
 * the arguments of aggregates over distinct values (d1...), which it groups by too.
 */
export class PartialOutputs {
  readonly groups: readonly Node[];
  readonly combinations: Combination[] = [];
  readonly #scatter: ScatterContext;
  readonly #partials: Node[] = [];
  readonly #distinct: Node[] = [];

  constructor(scatter: ScatterContext, groups: readonly Node[]) {
    this.#scatter = scatter;
    this.groups = groups;
  }

  get columns(): string[] {
    return [
      ...this.groups.map((_, index) => `g${index + 1}`),
      ...this.#partials.map((_, index) => `p${index + 1}`),
      ...this.#distinct.map((_, index) => `d${index + 1}`),
    ];
  }

  /** The columns, 0-based, that a shard groups by. */
  get groupColumns(): number[] {
    const behind = this.groups.length + this.#partials.length;
    return [
      ...this.groups.map((_, index) => index),
      ...this.#distinct.map((_, index) => behind + index),
    ];
  }

  get targets(): Node[] {
    const { columns } = this;
    return [...this.groups, ...this.#partials, ...this.#distinct].map((val, index) => ({
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
      if ('FuncCall' in node && this.#isAggregate(node.FuncCall)) {
        const call = node.FuncCall;
        const combined = call.agg_distinct ? this.#distinctCall(call) : this.#combined(call);
        possible &&= combined !== null;
        return combined ?? node;
      }
      if (columnRefOf(node) !== null) possible = false;
      return undefined;
    });
    return possible ? tree[0]! : null;
  }

  #isAggregate(call: FuncCall): boolean {
    return call.over === undefined && isAggregate(call, this.#scatter.analysis);
  }

  /** An aggregate over distinct values as it stands, over the distinct values of all shards. */
  #distinctCall(call: FuncCall): Node | null {
    if (call.agg_filter !== undefined || call.agg_within_group || call.func_variadic) return null;
    const column = (argument: Node): Node | null => {
      if (constOf(argument) !== null) return argument;
      if (!isGroupable(argument, this.#scatter) || this.#hasAggregate(argument)) return null;
      let index = this.#distinct.findIndex((other) => this.#scatter.isSame(other, argument));
      if (index < 0) index = this.#distinct.push(argument) - 1;
      return columnOf('t', `d${index + 1}`);
    };
    const args = (call.args ?? []).map(column);
    const order = (call.agg_order ?? []).map((item): Node | null => {
      const node = 'SortBy' in item && item.SortBy.node !== undefined ? item.SortBy.node : null;
      const sorted = node === null ? null : column(node);
      return sorted === null || !('SortBy' in item)
        ? null
        : { SortBy: { ...item.SortBy, node: sorted } };
    });
    if (args.includes(null) || order.includes(null)) return null;
    return {
      FuncCall: {
        ...call,
        args: args.map((node) => node!),
        ...(order.length === 0 ? {} : { agg_order: order.map((node) => node!) }),
      },
    };
  }

  #hasAggregate(tree: Node): boolean {
    return contains(
      tree,
      'FuncCall',
      (node) => 'FuncCall' in node && this.#isAggregate(node.FuncCall),
    );
  }

  #combined(call: FuncCall): Node | null {
    const { schema, name } = qualifiedName(call.funcname);
    const aggregate = combinableAggregate(name);
    if (aggregate === null || !isPlain(call) || !['pg_catalog', null].includes(schema)) return null;
    if (!this.#isBuiltin(call)) return null;
    if (contains(call, 'SubLink') || contains(call.args, 'RowExpr')) return null;
    if (this.#keepsRow(name, call)) return null;
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

  /** Users may have made aggregates of this name: the built-in one for just its type is taken before any of them. */
  #isBuiltin({ funcname, agg_star, args }: FuncCall): boolean {
    const { schema, name } = qualifiedName(funcname);
    const { names } = this.#scatter.analysis;
    const overloads = names.userFunctions(schema, name);
    if (overloads.length === 0) return true;
    if (!names.builtinsFirst) return false;
    if (agg_star === true)
      return overloads.every(({ takes }) => takes !== undefined && takes.length > 0);
    const type = this.#typeOf(args![0]!);
    if (builtinArguments.get(name)?.has(type) !== true) return false;
    return overloads.every(({ takes }) => takes?.includes(0) === false && !takes.includes(type));
  }

  /** OID of the built-in type of a column or cast (of a domain: that of its base); 0: not known. */
  #typeOf(node: Node): number {
    const { analysis, top } = this.#scatter;
    if ('ColumnRef' in node) {
      return bareColumn(node, analysis.places.get(top)!, analysis)?.type ?? 0;
    }
    const cast = 'TypeCast' in node ? node.TypeCast.typeName : undefined;
    return cast === undefined || cast.arrayBounds !== undefined ? 0 : analysis.names.typeOid(cast);
  }

  /** Of rows it gives one that has no type of its own, which cannot be a column of a table. */
  #keepsRow(name: string, call: FuncCall): boolean {
    const { wholeRows } = this.#scatter.analysis;
    const isRow = (node: Node): boolean => 'ColumnRef' in node && wholeRows.has(node.ColumnRef);
    if (name !== 'count' && contains(call.args, 'ColumnRef', isRow)) return true;
    return (name === 'min' || name === 'max') && this.#mayBeRow(call.args?.[0]);
  }

  /** A column of a type made by users that is no enum. */
  #mayBeRow(argument: Node | undefined): boolean {
    const { analysis, top } = this.#scatter;
    const type = bareColumn(argument, analysis.places.get(top)!, analysis)?.type ?? 0;
    return type >= FIRST_USER_OID && analysis.names.catalog.enums?.has(type) !== true;
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

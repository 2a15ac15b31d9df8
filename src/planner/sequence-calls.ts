import type { FuncCall, InsertStmt, Node, SelectStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { bodyOf, forEachChild, qualifiedName, selectOf } from './ast.js';
import type { Edit } from './fill-plan.js';
import { sequenceSource } from './id-sources.js';
import { namingInside, type Naming } from './output-naming.js';
import type { IdSource } from './plan.js';
import { refuse } from './refusals.js';
import { findSequence, sequenceArgument, withoutCasts } from './sequence-names.js';
import { SequenceOrder } from './sequence-order.js';
import type { StatementContext } from './statement-context.js';

/** Calls of a statement whose values the proxy knows, and what to write in their place. */
export interface SequenceCalls {
  readonly calls: ReadonlySet<FuncCall>;
  readonly edits: readonly Edit[];
}

const words = /(curr|last|next)val/i;
const decoder = new TextDecoder();
/**
 * Finds calls of currval and lastval, and of nextval where it is called exactly once: a value of
 * VALUES in an INSERT, or an output of a SELECT without FROM. Other calls of nextval are left to
 * the server that counts.
 */
export function sequenceCalls(node: Node, context: StatementContext): SequenceCalls | null {
  const { bytes, textStart, start, end } = context;
  if (!words.test(decoder.decode(bytes.subarray(textStart + start, textStart + end)))) return null;
  const search = new Search(node, context);
  search.visit(node, 'none');
  return search.edits.length === 0 ? null : search;
}

class Search implements SequenceCalls {
  readonly calls = new Set<FuncCall>();
  readonly edits: Edit[] = [];
  readonly #context: StatementContext;
  readonly #tokens: Tokens;
  readonly #once: ReadonlySet<FuncCall>;
  readonly #order: SequenceOrder;

  constructor(node: Node, context: StatementContext) {
    const { bytes, textStart, start, end } = context;
    this.#context = context;
    this.#tokens = new Tokens(bytes, textStart, start, end);
    this.#once = calledOnce(node, context);
    this.#order = new SequenceOrder(node, this.#once, context);
  }

  visit(node: Node, naming: Naming): void {
    if ('FuncCall' in node && this.#replaces(node.FuncCall, naming)) return;
    const inner = namingInside(node, naming);
    forEachChild(bodyOf(node), (child) => {
      this.visit(child, inner);
    });
  }

  #replaces(call: FuncCall, naming: Naming): boolean {
    const { schema, name } = qualifiedName(call.funcname);
    if (schema !== null && schema !== 'pg_catalog') return false;
    if (this.#context.names.userFunctions(schema, name).length > 0) return false;
    const source = this.#sourceOf(name, call);
    if (source === null) return false;
    if (name !== 'nextval' && !this.#order.isKnown(call, sequenceOf(source))) {
      refuse(
        `function "${name}" in a statement that takes values of the sequence by itself is not supported`,
        'Use RETURNING of the INSERT, or a SELECT before.',
      );
    }
    if (naming === 'inherited') {
      if (name === 'nextval') return false;
      refuse(
        `an output column that takes its name from "${name}" is not supported`,
        'Give the column a name with AS.',
      );
    }
    const alias = naming === 'own' ? ` AS ${name}` : '';
    const start = call.location ?? 0;
    let [before, behind] = ['', `::pg_catalog.int8${alias}`];
    if (source.kind === 'currvalOf') {
      // A shard says whether there is such a sequence.
      before = `CASE WHEN $${source.index + 1}::pg_catalog.regclass IS NULL THEN NULL ELSE `;
      behind = `::pg_catalog.int8 END${alias}`;
    }
    const pieces = [before, { source }, behind];
    this.edits.push({ start, end: this.#endOf(start), pieces });
    this.calls.add(call);
    return true;
  }

  #sourceOf(name: string, call: FuncCall): IdSource | null {
    if (name === 'lastval' && call.args === undefined) return { kind: 'lastval' };
    const once = name === 'nextval' && this.#once.has(call);
    if (!once && name !== 'currval') return null;
    const { constants, names } = this.#context;
    const argument = withoutCasts(call.args?.[0]);
    if (!once && argument !== null && 'ParamRef' in argument) {
      return { kind: 'currvalOf', index: (argument.ParamRef.number ?? 1) - 1 };
    }
    const path = sequenceArgument(call, constants, names);
    const sequence = path === null ? null : findSequence(path, names);
    if (sequence === null) {
      if (once) return null;
      refuse(
        path === null
          ? 'function "currval" is only supported with a constant or a parameter'
          : `relation "${path.name}" does not exist`,
        "Write currval('sequence_name').",
        path === null ? 'feature_not_supported' : 'undefined_table',
      );
    }
    if (sequence.temporary === true) {
      // The session's own backend counts it.
      if (once) return null;
      refuse('currval of a temporary sequence is not supported', 'Use RETURNING.');
    }
    const source = sequenceSource(sequence, names);
    if (source.kind !== 'sequence' || once) return source;
    return { kind: 'currval', name: source.name, bareName: sequence.name };
  }

  /** Behind the closing parenthesis of the call that begins here. */
  #endOf(start: number): number {
    const tokens = this.#tokens;
    let depth = 0;
    for (let index = tokens.at(start); index >= 0 && index < tokens.count; index++) {
      if (tokens.is(index, '(')) depth++;
      else if (tokens.is(index, ')') && --depth === 0) return tokens.end(index);
    }
    return refuse(
      'this call of a sequence function cannot be found in the text of the statement',
      'Write it in plainer notation.',
    );
  }
}

/** Qualified; null: any. */
function sequenceOf(source: IdSource): string | null {
  return source.kind === 'currval' ? source.name : null;
}

/** The calls that are evaluated exactly once, whatever the data. */
function calledOnce(node: Node, context: StatementContext): Set<FuncCall> {
  const found = new Set<FuncCall>();
  const add = (value: Node | undefined): void => {
    if (value === undefined) return;
    if ('TypeCast' in value) add(value.TypeCast.arg);
    else if ('FuncCall' in value) found.add(value.FuncCall);
  };
  if ('InsertStmt' in node && !countsItself(node.InsertStmt, context)) {
    const select = selectOf(node.InsertStmt.selectStmt);
    for (const row of select !== null && isPlain(select) ? (select.valuesLists ?? []) : []) {
      if ('List' in row) row.List.items?.forEach(add);
    }
  }
  if ('SelectStmt' in node && isPlain(node.SelectStmt)) {
    for (const target of node.SelectStmt.targetList ?? []) {
      if ('ResTarget' in target) add(target.ResTarget.val);
    }
  }
  return found;
}

/** Whether the table's own server may count: it has no other shards. */
function countsItself({ relation }: InsertStmt, { names }: StatementContext): boolean {
  const found = relation === undefined ? null : names.relation(relation);
  return found?.kind !== 'table' || !found.table.keyspace.sharded;
}

/** One row comes out, or rows of VALUES as they stand. */
export function isPlain(select: SelectStmt): boolean {
  const parts: readonly (keyof SelectStmt)[] = [
    'fromClause',
    'whereClause',
    'groupClause',
    'havingClause',
    'windowClause',
    'sortClause',
    'limitCount',
    'limitOffset',
    'distinctClause',
    'withClause',
    'lockingClause',
    'larg',
    'intoClause',
  ];
  return parts.every((part) => select[part] === undefined);
}

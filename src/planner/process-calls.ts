import type { FuncCall, Node, SelectStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { bodyOf, constOf, forEachChild, kindOf, qualifiedName } from './ast.js';
import type { Edit } from './fill-plan.js';
import { namesItself } from './output-naming.js';
import type { FillSlot, ProcessPid } from './plan.js';
import { isPlain } from './sequence-calls.js';
import type { StatementContext } from './statement-context.js';

const words = /pg_(backend_pid|cancel_backend|terminate_backend|listening_channels)/i;
const decoder = new TextDecoder();
const SIGNALS: ReadonlyMap<string, 'cancel' | 'terminate'> = new Map([
  ['pg_cancel_backend', 'cancel'],
  ['pg_terminate_backend', 'terminate'],
]);

/**
 * What stands in place of calls about server processes, in a SELECT without FROM: clients know the process id that they
 * were given at login. Beside tables the calls are left as they are, since what these show are a server's processes.
 * pg_listening_channels may also be all that there is in FROM.
 */
export function processCalls(node: Node, context: StatementContext): readonly Edit[] {
  const { bytes, textStart, start, end } = context;
  if (!('SelectStmt' in node)) return [];
  if (!words.test(decoder.decode(bytes.subarray(textStart + start, textStart + end)))) return [];
  const search = new Search(context);
  if (isPlain(node.SelectStmt)) search.visitSelect(node.SelectStmt, true);
  else search.visitFrom(node.SelectStmt);
  return search.edits;
}

class Search {
  readonly edits: Edit[] = [];
  readonly #context: StatementContext;
  readonly #tokens: Tokens;

  constructor(context: StatementContext) {
    const { bytes, textStart, start, end } = context;
    this.#context = context;
    this.#tokens = new Tokens(bytes, textStart, start, end);
  }

  /** Leaves one with tables alone. `isTop`: its outputs are computed exactly once. */
  visitSelect(select: SelectStmt, isTop: boolean): void {
    if (!isPlain(select)) return;
    for (const target of select.targetList ?? []) {
      if ('ResTarget' in target && target.ResTarget.val !== undefined) {
        this.#visitOutput(target.ResTarget.val, target.ResTarget.name === undefined, isTop);
      }
    }
  }

  /** One function and nothing else. */
  visitFrom({ fromClause }: SelectStmt): void {
    const [source, ...more] = fromClause ?? [];
    if (source === undefined || more.length > 0 || !('RangeFunction' in source)) return;
    const { functions, alias, ordinality, is_rowsfrom } = source.RangeFunction;
    const [list] = functions ?? [];
    const call = list !== undefined && 'List' in list ? list.List.items?.[0] : undefined;
    if (call === undefined || !('FuncCall' in call) || ordinality || is_rowsfrom) return;
    const made = this.#channels(call.FuncCall);
    if (made === null) return;
    const name = alias === undefined ? ' AS pg_listening_channels' : '';
    this.#replace(call.FuncCall.location ?? 0, [...made, name]);
  }

  /** `isNamed`: the expression gives its column a name. */
  #visitOutput(value: Node, isNamed: boolean, isTop: boolean): void {
    let inner = value;
    while ('TypeCast' in inner && inner.TypeCast.arg !== undefined) inner = inner.TypeCast.arg;
    if ('FuncCall' in inner) {
      const { name } = qualifiedName(inner.FuncCall.funcname);
      const call = inner.FuncCall;
      const made =
        this.#ownPid(call) ?? this.#channels(call) ?? (isTop ? this.#signal(call) : null);
      if (made !== null) {
        const from = inner.FuncCall.location ?? 0;
        if (this.#replace(from, made) && isNamed) this.#name(from, name);
        return;
      }
    }
    if (!isNamed || namesItself.has(kindOf(inner)) || 'SubLink' in inner) this.#visit(inner);
  }

  #visit(node: Node): void {
    if ('SelectStmt' in node) {
      this.visitSelect(node.SelectStmt, false);
      return;
    }
    const made = 'FuncCall' in node ? this.#ownPid(node.FuncCall) : null;
    if (made !== null && 'FuncCall' in node) this.#replace(node.FuncCall.location ?? 0, made);
    else forEachChild(bodyOf(node), (child) => this.#visit(child));
  }

  #ownPid(call: FuncCall): Edit['pieces'] | null {
    if (this.#builtin(call) !== 'pg_backend_pid' || call.args !== undefined) return null;
    return [{ source: { kind: 'ownPid' } }, '::pg_catalog.int4'];
  }

  #channels(call: FuncCall): Edit['pieces'] | null {
    if (this.#builtin(call) !== 'pg_listening_channels' || call.args !== undefined) return null;
    return ['pg_catalog.unnest(', { source: { kind: 'channels' } }, '::pg_catalog.text[])'];
  }

  #signal(call: FuncCall): Edit['pieces'] | null {
    const signal = SIGNALS.get(this.#builtin(call) ?? '');
    const [argument, ...more] = call.args ?? [];
    if (signal === undefined || argument === undefined || more.length > 0) return null;
    const pid = this.#pidOf(argument);
    if (pid === null) return null;
    const sent: FillSlot = { source: { kind: 'signal', signal, pid } };
    if (pid.kind !== 'param') return [sent, '::pg_catalog.bool'];
    // A function of the same type; there is no process NULL.
    const isNull = `pg_catalog.int4up($${pid.index + 1}) IS NULL`;
    return [`CASE WHEN ${isNull} THEN NULL ELSE `, sent, '::pg_catalog.bool END'];
  }

  #pidOf(argument: Node): ProcessPid | null {
    if ('ParamRef' in argument) {
      return { kind: 'param', index: (argument.ParamRef.number ?? 1) - 1 };
    }
    if ('FuncCall' in argument) return this.#ownPid(argument.FuncCall) && { kind: 'own' };
    const constant = constOf(argument);
    const text = constant === null ? null : this.#context.constants.pinned(constant);
    return text !== null && /^\d{1,10}$/.test(text)
      ? { kind: 'constant', pid: Number(text) }
      : null;
  }

  /** The name of a built-in function; null: another one. */
  #builtin(call: FuncCall): string | null {
    const { schema, name } = qualifiedName(call.funcname);
    if (schema !== null && schema !== 'pg_catalog') return null;
    return this.#context.names.userFunctions(schema, name).length > 0 ? null : name;
  }

  /** False: the call that begins there cannot be found in the text. */
  #replace(start: number, pieces: Edit['pieces']): boolean {
    const tokens = this.#tokens;
    const first = tokens.at(start);
    const open = first < 0 ? -1 : tokens.dottedEnd(first) + 1;
    const close = open > 0 && tokens.is(open, '(') ? tokens.closing(open) : -1;
    if (close < 0) return false;
    this.edits.push({ start, end: tokens.end(close), pieces });
    return true;
  }

  /** Names the output column that the call at an offset stands in: up to a comma, or the end of the query. */
  #name(start: number, name: string): void {
    const tokens = this.#tokens;
    let last = tokens.at(start);
    while (last + 1 < tokens.count && ![',', ';', ')'].some((end) => tokens.is(last + 1, end))) {
      last = tokens.is(last + 1, '(') ? tokens.closing(last + 1) : last + 1;
    }
    const end = tokens.end(last);
    this.edits.push({ start: end, end, pieces: [` AS ${name}`] });
  }
}

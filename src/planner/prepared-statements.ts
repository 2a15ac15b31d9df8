import type { ExecuteStmt, Node, PrepareStmt, TypeName } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { constOf, constText, qualifiedName, selectOf } from './ast.js';
import type { ArgumentConstant, Plan } from './plan.js';
import { localPlan } from './plans.js';
import { refuse } from './refusals.js';
import { wholeText, type StatementContext } from './statement-context.js';

/** SQL PREPARE: the session keeps the text, as it keeps that of a Parse message. */
export function planPrepare(statement: PrepareStmt, context: StatementContext): Plan {
  const { bytes, textStart, start, end } = context;
  if (selectOf(statement.query)?.intoClause !== undefined) {
    refuse('SELECT INTO in PREPARE is not supported', 'Create the table first, then use INSERT.');
  }
  const tokens = new Tokens(bytes, textStart, start, end);
  // Names and types cannot hold the bare keyword.
  let at = 0;
  while (at < tokens.count && !tokens.is(at, 'as')) at++;
  const from = tokens.start(at + 1);
  return localPlan('utility', {
    kind: 'prepare',
    name: statement.name ?? '',
    paramTypes: (statement.argtypes ?? []).map((node) => parameterType(node, context)),
    query: tokens.text(from, end),
    source: wholeText(context),
    offset: charactersBefore(from, tokens),
  });
}

function parameterType(node: Node, { names }: StatementContext): number {
  const type: TypeName = 'TypeName' in node ? node.TypeName : {};
  const oid = names.parameterTypeOid(type);
  if (oid !== null) return oid;
  const { name } = qualifiedName(type.names);
  return refuse(
    `type "${name}" is not supported as the type of a parameter of PREPARE`,
    'Leave the types of the parameters out, and cast them in the statement.',
  );
}

/** SQL EXECUTE. `explained`: EXPLAIN stands in front of it. */
export function planExecute(
  statement: ExecuteStmt,
  context: StatementContext,
  explained: boolean,
): Plan {
  const { bytes, textStart, start, end } = context;
  const tokens = new Tokens(bytes, textStart, start, end);
  let at = 0;
  if (explained) while (at < tokens.count && !tokens.is(at, 'execute')) at++;
  const explain = explained ? tokens.text(start, tokens.start(at)) : null;
  const values = statement.params ?? [];
  const constants = values.map(argumentConstant);
  const plain = constants.filter((constant) => constant !== null);
  // EXECUTE, the name, the parenthesis.
  const from = values.length === 0 ? end : tokens.end(at + 2);
  const to = values.length === 0 ? end : tokens.start(tokens.count - 1);
  return localPlan(explained ? 'explain' : 'utility', {
    kind: 'execute',
    name: statement.name ?? '',
    argumentCount: values.length,
    constants: plain.length === constants.length ? plain : null,
    args: tokens.text(from, to),
    offset: charactersBefore(from, tokens),
    explain,
  });
}

function argumentConstant(node: Node): ArgumentConstant | null {
  const constant = constOf(node);
  if (constant === null || constant.bsval !== undefined) return null;
  const text = constText(constant);
  if (text === null) return { kind: 'null', text };
  if (constant.sval !== undefined) return { kind: 'string', text };
  if (constant.boolval !== undefined) return { kind: 'boolean', text };
  return { kind: constant.ival === undefined ? 'decimal' : 'integer', text };
}

function charactersBefore(offset: number, tokens: Tokens): number {
  return [...tokens.text(0, offset)].length;
}

import type { Node } from '@pgsql/types';
import { deparse } from '../../sql/deparse.js';
import { Literals } from '../../sql/literals.js';
import { scanShape } from '../../sql/scanner.js';
import type { Params } from '../params.js';
import type { SourceQuery } from '../plan.js';
import { Refused, refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { TextConstants } from '../values.js';

/** The text of a statement that was made of another one. Throws Refused where none is certain. */
export function sourceText(statement: Node, { parser }: StatementContext): string {
  return deparse(statement, parser) ?? refuseForm();
}

/**
 * Plans a statement that was made of another one as a source of rows, on any shards. `params`: the
 * other one's, which mean the same here. Its plan then serves one set of literals. Throws Refused.
 */
export function sourceQuery(text: string, params: Params, context: StatementContext): SourceQuery {
  const sql = Buffer.from(text);
  const made = madeStatement(sql, context);
  const { literals } = made.context;
  const plan = context.plan(made.node, { ...made.context, outerParams: params, scatters: true });
  // Of a write to a reference table.
  if (plan.kind === 'insertSplit' || plan.kind === 'broadcast') return { sql, literals, plan };
  if (plan.kind === 'refuse') throw new Refused(plan.refusal);
  if (plan.kind !== 'route') return refuseForm();
  if (plan.effects !== null) {
    refuse(
      'set_config in a statement that writes is not supported',
      'Run SELECT set_config(...) as a statement of its own.',
    );
  }
  return { sql, literals, plan };
}

/** A statement that was made of another one, with what it is planned in. The other plan serves its literals alone. */
export function madeStatement(
  sql: Buffer,
  context: StatementContext,
): { readonly node: Node; readonly context: StatementContext } {
  const literals = new Literals();
  const shape = scanShape(sql, 0, sql.length, literals);
  context.constants.dependOnAll();
  const own = {
    constants: new TextConstants(shape === null ? null : literals),
    literals,
    bytes: sql,
    textStart: 0,
    textEnd: sql.length,
    start: 0,
    end: sql.length,
    knowsValues: true,
  };
  return { node: parsed(sql, context), context: { ...context, ...own } };
}

/** With the places of its nodes in this text. */
function parsed(sql: Buffer, { parser }: StatementContext): Node {
  const statements = parser.parse(sql);
  if (Array.isArray(statements)) return statements[0]?.node ?? refuseForm();
  statements.catch(() => undefined);
  return refuseForm();
}

function refuseForm(): never {
  refuse(
    'a query of this form, whose rows are needed on other shards, is not supported',
    'Write it shorter and in plainer notation, or read the rows and give them as values.',
  );
}

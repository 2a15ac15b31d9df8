import type { SelectStmt } from '@pgsql/types';
import { deparse } from '../../sql/deparse.js';
import { Literals } from '../../sql/literals.js';
import { scanShape } from '../../sql/scanner.js';
import type { Params } from '../params.js';
import type { SourceQuery } from '../plan.js';
import { refuse } from '../refusals.js';
import { planSelect } from '../select-plans.js';
import type { StatementContext } from '../statement-context.js';
import { TextConstants } from '../values.js';

/** The text of a query that was made of a statement. Throws Refused where none is certain. */
export function sourceText(select: SelectStmt, { parser }: StatementContext): string {
  return deparse({ SelectStmt: select }, parser) ?? refuseForm();
}

/**
 * Plans a SELECT that was made of a statement as a source of rows, on any shards. `params`: the
 * statement's own, which mean the same here. The statement's plan then serves one set of literals.
 * Throws Refused as `planSelect` does.
 */
export function sourceQuery(text: string, params: Params, context: StatementContext): SourceQuery {
  const sql = Buffer.from(text);
  const literals = new Literals();
  const shape = scanShape(sql, 0, sql.length, literals);
  context.constants.dependOnAll();
  const plan = planSelect(parsed(sql, context), {
    ...context,
    outerParams: params,
    constants: new TextConstants(shape === null ? null : literals),
    literals,
    bytes: sql,
    textStart: 0,
    start: 0,
    end: sql.length,
    scatters: true,
  });
  if (plan.effect !== null) {
    refuse(
      'set_config in a statement that writes is not supported',
      'Run SELECT set_config(...) as a statement of its own.',
    );
  }
  return { sql, literals, plan };
}

/** With the places of its nodes in this text. */
function parsed(sql: Buffer, { parser }: StatementContext): SelectStmt {
  const statements = parser.parse(sql);
  if (!Array.isArray(statements)) {
    statements.catch(() => undefined);
    return refuseForm();
  }
  const node = statements[0]?.node;
  return node !== undefined && 'SelectStmt' in node ? node.SelectStmt : refuseForm();
}

function refuseForm(): never {
  refuse(
    'a query of this form, whose rows are written to several shards, is not supported',
    'Write it shorter and in plainer notation, or read the rows and insert them as VALUES.',
  );
}

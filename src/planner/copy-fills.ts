import type { CopyStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { defElemText, stringsOf } from './ast.js';
import { idColumns, type IdColumn } from './id-sources.js';
import type { Occurrence } from './model.js';
import type { CopyFormat, CopyFromPlan } from './plan.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/** The columns of a COPY's table that the data leaves out and the proxy makes values for. */
export function copiedIds(
  { attlist }: CopyStmt,
  { relation, table }: Occurrence,
  { names }: StatementContext,
): IdColumn[] {
  if (attlist === undefined || table?.keyspace.sharded !== true) return [];
  const given = new Set(stringsOf(attlist));
  return idColumns(relation, table, names).filter(({ column }) => !given.has(column.name));
}

/** How the data gets them. Throws Refused where that cannot be. */
export function copyFill(
  statement: CopyStmt,
  ids: readonly IdColumn[],
  format: CopyFormat,
  context: StatementContext,
): CopyFromPlan['fill'] {
  const [first] = ids;
  if (first === undefined) return undefined;
  const matches = (statement.options ?? []).some(
    (node) =>
      'DefElem' in node &&
      node.DefElem.defname === 'header' &&
      /^match$/i.test(defElemText(node.DefElem) ?? ''),
  );
  if (format.kind === 'binary' || format.defaultText !== null || matches) {
    refuse(
      `COPY without values for column "${first.column.name}", which Shardgate makes, is not supported in binary format, or with DEFAULT or HEADER MATCH`,
      `Use text or CSV, or give values for "${first.column.name}" in the data.`,
    );
  }
  const columns = ids.map(({ column, source }) => ({ name: column.name, source }));
  return { columns, at: context.constants.position(listEnd(context)) };
}

/** Where the list of columns ends, in front of its parenthesis. */
function listEnd({ bytes, textStart, start, end }: StatementContext): number {
  const tokens = new Tokens(bytes, textStart, start, end);
  for (let token = 0; token < tokens.count; token++) {
    if (!tokens.is(token, '(')) continue;
    const close = tokens.closing(token);
    if (close >= 0) return tokens.start(close);
    break;
  }
  return refuse('the columns of this COPY cannot be found', 'Write it in plainer notation.');
}

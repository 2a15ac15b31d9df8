import type { CopyStmt } from '@pgsql/types';
import { Tokens } from '../sql/tokens.js';
import { binaryWriter } from '../vindex/values/binary-ids.js';
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
  const isBinary = format.kind === 'binary';
  const unwritten = ids.find(({ column }) => isBinary && binaryWriter(column.type) === undefined);
  if (unwritten !== undefined || matches || (!isBinary && format.defaultText !== null)) {
    const { name } = (unwritten ?? first).column;
    const ways = isBinary ? 'in binary format' : 'with DEFAULT or HEADER MATCH';
    refuse(
      `COPY ${ways} without values for column "${name}", which Shardgate makes, is not supported`,
      `${isBinary ? 'Use text or CSV' : 'Leave the option out'}, or give values for "${name}" in the data.`,
    );
  }
  const columns = ids.map(({ column: { name, type }, source }) => ({ name, type, source }));
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

import type { Node } from '@pgsql/types';
import { sameTree } from '../sql/same-tree.js';
import type { StatementContext } from './statement-context.js';

/**
 * Where the query begins that a statement such as EXPLAIN ends with, as an offset in the text; null: that cannot be
 * told.
 * @param heads what may stand in front of it, without comments
 */
export function queryStart(
  heads: readonly RegExp[],
  query: Node,
  context: StatementContext,
): number | null {
  const text = textFrom(context.start, context);
  for (const head of heads) {
    const length = head.exec(text)?.[0].length ?? 0;
    if (length > 0 && isQuery(text.slice(length), query, context)) {
      return context.start + Buffer.byteLength(text.slice(0, length));
    }
  }
  return null;
}

function isQuery(text: string, query: Node, { parser }: StatementContext): boolean {
  try {
    const parsed = parser.parse(Buffer.from(text));
    if (Array.isArray(parsed)) return parsed.length === 1 && sameTree(parsed[0]!.node, query);
    parsed.catch(() => undefined);
  } catch {
    // This head took too much or too little.
  }
  return false;
}

/** The statement from an offset in the text on. */
export function textFrom(start: number, { bytes, textStart, end }: StatementContext): string {
  return Buffer.from(bytes.subarray(textStart + start, textStart + end)).toString('utf8');
}

import type { Node } from '@pgsql/types';
import { Deparser } from 'pgsql-deparser';
import type { TextParser } from './parser.js';
import { sameTree } from './same-tree.js';

/**
 * SQL text of a statement's tree, or null where no text is certain to mean the same: what is
 * written is parsed again, and the trees are compared. Null too for texts beyond what is parsed at
 * once (parse-limits.ts). Some 0.5 ms for a statement of 100 words, so once a plan, not once an
 * execution.
 */
export function deparse(node: Node, parser: TextParser): string | null {
  const text = write(node);
  if (text === null) return null;
  const again = parseNow(text, parser);
  return again !== null && sameTree(again, node) ? text : null;
}

/**
 * The same for an expression as it may stand in a target list. It must be put in parentheses where
 * anything stands around it.
 */
export function deparseExpression(node: Node, parser: TextParser): string | null {
  const head = 'SELECT ';
  const text = deparse(
    {
      SelectStmt: {
        targetList: [{ ResTarget: { val: node } }],
        limitOption: 'LIMIT_OPTION_DEFAULT',
        op: 'SETOP_NONE',
      },
    },
    parser,
  );
  return text?.startsWith(head) === true ? text.slice(head.length) : null;
}

/** pgsql-deparser with the clauses that it leaves out. */
class FullDeparser extends Deparser {
  override SelectStmt(...args: Parameters<Deparser['SelectStmt']>): string {
    const [node, context] = args;
    if (node.limitOption !== 'LIMIT_OPTION_WITH_TIES') return super.SelectStmt(node, context);
    const { limitCount, limitOffset, ...rest } = node;
    let text = super.SelectStmt({ ...rest, limitOption: 'LIMIT_OPTION_DEFAULT' }, context);
    if (limitOffset !== undefined) text += ` OFFSET ${this.visit(limitOffset, context)}`;
    return `${text} FETCH FIRST (${this.visit(limitCount!, context)}) ROWS WITH TIES`;
  }

  /** A type by its names, where the library writes a keyword that means another one. */
  override TypeName(...args: Parameters<Deparser['TypeName']>): string {
    const [node, context] = args;
    const { names = [], typmods, arrayBounds } = node;
    const path = names.map((name) => ('String' in name ? (name.String.sval ?? '') : ''));
    const name = path.at(-1) ?? '';
    // `varbit` is no keyword, and does not mean pg_catalog's.
    if (path.join('.') === 'pg_catalog.varbit') {
      return super.TypeName(node, context).replace(/^(pg_catalog\.)?varbit/, 'bit varying');
    }
    const misread = MISREAD.test(name) || (path[0] === 'pg_catalog' && !KEYWORDS.test(name));
    if (!misread || typmods !== undefined || arrayBounds !== undefined) {
      return super.TypeName(node, context);
    }
    // In quotes always: of a type in pg_catalog the library would cut the schema.
    return path.map((part) => `"${part.replaceAll('"', '""')}"`).join('.');
  }
}

/** As keywords `char` and `bit` have a length of 1. */
const MISREAD = /^(bpchar|bit|char)$/;
/** Types of pg_catalog that the grammar has keywords for, which the library writes. */
const KEYWORDS = /^(int[248]|float[48]|numeric|bool|varchar|varbit|time(stamp)?(tz)?|interval)$/;

function write(node: Node): string | null {
  try {
    return new FullDeparser(node, { pretty: false }).deparseQuery();
  } catch {
    // A kind of node that it does not know, or a tree too deep for its recursion.
    return null;
  }
}

function parseNow(text: string, parser: TextParser): Node | null {
  try {
    const parsed = parser.parse(Buffer.from(text));
    if (Array.isArray(parsed)) return parsed.length === 1 ? parsed[0]!.node : null;
    parsed.catch(() => undefined);
  } catch {
    // No SQL: the caller does without this text.
  }
  return null;
}

import { sqlError } from '../../errors/sql-error.js';
import { ByteClass, byteClasses } from '../../sql/lexer.js';
import { LiteralKind, type Literals } from '../../sql/literals.js';
import { wishNames, type WishTexts } from './wish.js';

/** `-- shardgate: ...` and the text between the ends of a block comment. */
const HINT = /^(?:--|\/\*)\s*shardgate\s*:(.*?)(?:\*\/)?$/is;
const ITEM = /^[\s,]*([a-z]+)\s*=\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s,'"]+)/i;

/** Whether the text begins with a comment. */
export function beginsWithComment(literals: Literals): boolean {
  return literals.count > 0 && literals.kinds[0] === LiteralKind.comment;
}

/**
 * What comments in front of the text wish for; null: nothing. `bytes[start + offset]` is byte `offset` of the text.
 * Throws SqlError 22023 where such a comment cannot be read.
 */
export function hintOf(bytes: Uint8Array, start: number, literals: Literals): WishTexts | null {
  let found: WishTexts = NOTHING;
  let from = 0;
  for (let i = 0; i < literals.count && literals.kinds[i] === LiteralKind.comment; i++) {
    if (!isBlank(bytes, start + from, start + literals.starts[i]!)) break;
    from = literals.ends[i]!;
    const comment = bytes.subarray(start + literals.starts[i]!, start + from);
    const body = HINT.exec(Buffer.from(comment).toString('utf8'))?.[1];
    if (body !== undefined) found = { ...found, ...read(body), inComment: true };
  }
  return found === NOTHING ? null : found;
}

const NOTHING: WishTexts = {};

function isBlank(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    if (byteClasses[bytes[i]!] !== ByteClass.plain || bytes[i]! > 0x20) return false;
  }
  return true;
}

function read(body: string): WishTexts {
  const wish: Record<string, string> = {};
  let rest = body;
  while (!/^[\s,]*$/.test(rest)) {
    const [item, name = '', value = ''] = ITEM.exec(rest) ?? unreadable(rest);
    const known = wishNames.find((each) => each === name.toLowerCase()) ?? unreadable(item);
    wish[known] = unquoted(value);
    rest = rest.slice(item.length);
  }
  return wish;
}

function unquoted(value: string): string {
  const quote = value[0]!;
  if (quote !== "'" && quote !== '"') return value;
  return value.slice(1, -1).replaceAll(quote + quote, quote);
}

function unreadable(part: string): never {
  throw sqlError(
    'invalid_parameter_value',
    `this comment for Shardgate cannot be read: ${part.trim()}`,
    {
      hint: "Write /* shardgate: shard=s1 */, with shard, key='...', keyspace, role=primary or scatter=off.",
    },
  );
}

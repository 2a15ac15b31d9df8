import { loadModule, scanSync } from 'libpg-query';
import { LiteralKind } from '../../../src/sql/literals.js';

/** A literal as PostgreSQL's own lexer finds it. */
export interface OracleLiteral {
  readonly start: number;
  readonly end: number;
  readonly kind: 'integer' | 'decimal' | keyof typeof LiteralKind;
}

export async function loadOracle(): Promise<void> {
  await loadModule();
}

/**
 * The literals (comments included) that libpg-query's lexer finds; null where it raises an error, undefined where it
 * cannot say. It makes tokens of comments, which ends a string that PostgreSQL continues behind them, and joins no
 * UESCAPE clause.
 */
export function oracleLiterals(sql: string): OracleLiteral[] | null | undefined {
  let tokens;
  try {
    ({ tokens } = scanSync(sql));
  } catch (error) {
    // Its JSON does not escape every control byte of a token; that says nothing about the text.
    if (error instanceof Error && error.message.includes('control character')) return undefined;
    return null;
  }
  const literals: OracleLiteral[] = [];
  for (const { start, end, tokenName, text } of tokens) {
    const kind = kindOf(tokenName, text);
    if (kind !== null) literals.push({ start, end, kind });
  }
  return literals;
}

function kindOf(tokenName: string, text: string): OracleLiteral['kind'] | null {
  if (tokenName === 'ICONST') return 'integer';
  if (tokenName === 'FCONST') return /^\d[\d_]*$|^0[xob]/i.test(text) ? 'integer' : 'decimal';
  if (tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT') return 'comment';
  if (tokenName === 'SCONST') {
    if (text.startsWith('$')) return 'dollarString';
    return /^e'/i.test(text) ? 'escapeString' : 'string';
  }
  if (/^b'/i.test(text)) return 'bitString';
  if (/^x'/i.test(text)) return 'hexString';
  return /^u&'/i.test(text) ? 'unicodeString' : null;
}

const integerKinds: readonly number[] = [
  LiteralKind.int4,
  LiteralKind.int8,
  LiteralKind.bigInteger,
  LiteralKind.int4Edge,
  LiteralKind.int8Edge,
];

/** The scanner's kind in the oracle's words. */
export function oracleKind(kind: number): OracleLiteral['kind'] {
  if (integerKinds.includes(kind)) return 'integer';
  const entry = Object.entries(LiteralKind).find(([, code]) => code === kind);
  return entry![0] as OracleLiteral['kind'];
}

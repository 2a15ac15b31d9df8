import { quotedKeywords } from './keywords.js';

const PLAIN_IDENTIFIER = /^[a-z_][a-z0-9_]*$/;

/** An identifier as SQL text, quoted only where it must be: PostgreSQL's `quote_ident`. */
export function quoteIdentifier(name: string): string {
  if (PLAIN_IDENTIFIER.test(name) && !quotedKeywords.has(name)) return name;
  return `"${name.replaceAll('"', '""')}"`;
}

/** `schema.name`, both parts quoted where they must be. */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/**
 * A string as SQL text, whatever standard_conforming_strings is: PostgreSQL's `quote_literal`, with the form E'...'
 * where backslashes occur.
 */
export function quoteLiteral(value: string): string {
  const doubled = value.replaceAll("'", "''");
  return value.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}

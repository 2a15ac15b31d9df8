/** The search path of a session that has set none. */
const DEFAULT_PATH = '"$user", public';

/**
 * The schemas of a `search_path` value in order, `"$user"` replaced. Follows SplitIdentifierString (PostgreSQL 18,
 * varlena.c): quoted names keep their case, others are folded to lower case, ASCII letters only. A value that Postgres
 * would not take gives the names in front of the fault. Linear in the value's length, which a client chooses.
 */
export function parseSearchPath(value: string | undefined, user: string): readonly string[] {
  const text = value ?? DEFAULT_PATH;
  const path: string[] = [];
  let at = skipSpaces(text, 0);
  while (at < text.length) {
    let name: string;
    if (text[at] === '"') {
      const close = closingQuote(text, at + 1);
      if (close < 0) break;
      name = text.slice(at + 1, close).replaceAll('""', '"');
      at = close + 1;
    } else {
      const start = at;
      while (at < text.length && text[at] !== ',' && !isSpace(text[at]!)) at++;
      name = text.slice(start, at).replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
      if (name === '') break;
    }
    if (name !== '') path.push(name === '$user' ? user : name);
    at = skipSpaces(text, at);
    if (at < text.length && text[at] !== ',') break;
    at = skipSpaces(text, at + 1);
  }
  return path;
}

/** Index of the quote that ends the name at `start`; a doubled one does not. */
function closingQuote(text: string, start: number): number {
  let at = text.indexOf('"', start);
  while (at >= 0 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}

function skipSpaces(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace(text[at]!)) at++;
  return at;
}

/** scanner_isspace: no Unicode spaces. */
function isSpace(character: string): boolean {
  return ' \t\n\r\f\v'.includes(character);
}

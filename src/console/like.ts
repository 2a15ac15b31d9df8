/** What a character of a pattern stands for: itself, or one of these. */
const ANY_TEXT = Symbol('any text');
const ANY_CHARACTER = Symbol('any character');
type Part = string | typeof ANY_TEXT | typeof ANY_CHARACTER;

/**
 * PostgreSQL's LIKE: `%` stands for any text, `_` for one character; a backslash takes the meaning of what follows it.
 * Takes no more steps than the two lengths multiplied, whatever the pattern: who may only look must not hold up others.
 */
export function isLike(text: string, pattern: string): boolean {
  const characters = [...text];
  const parts = patternParts(pattern);
  let [at, part] = [0, 0];
  /** Where to go on when what follows the last `%` does not fit: it takes one character more. */
  let [retryAt, retryPart] = [0, -1];
  while (at < characters.length) {
    const wanted = parts[part];
    if (wanted === ANY_TEXT) {
      retryPart = ++part;
      retryAt = at;
    } else if (wanted === ANY_CHARACTER || wanted === characters[at]) {
      at++;
      part++;
    } else if (retryPart >= 0) {
      at = ++retryAt;
      part = retryPart;
    } else return false;
  }
  return parts.slice(part).every((rest) => rest === ANY_TEXT);
}

function patternParts(pattern: string): Part[] {
  const parts: Part[] = [];
  let isEscaped = false;
  for (const character of pattern) {
    if (isEscaped) parts.push(character);
    else if (character === '%') parts.push(ANY_TEXT);
    else if (character === '_') parts.push(ANY_CHARACTER);
    else if (character !== '\\') parts.push(character);
    isEscaped = !isEscaped && character === '\\';
  }
  return parts;
}

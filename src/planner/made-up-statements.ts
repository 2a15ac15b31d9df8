/** Commands whose effects end with their transaction, or are on tables and their definitions. */
const verbs = new Set(
  (
    'select insert update delete merge with values table create alter drop comment grant revoke ' +
    'truncate analyze reindex refresh cluster lock'
  ).split(' '),
);
/** What may stand before a name, made up or not, that has a parenthesis behind it and is no function. */
const beforeNames = /^(exists|into|on|only|references|table|view)$/i;
/** `format` writes a name, or anything, in front of a parenthesis. */
const madeUpCall = /(?:(\w+)\s+)?(?:[\w"]+\s*\.\s*)?"?%(?:\d+\$)?[is]"?\s*\(/gi;
const endsInWord = /(\w+)\s*(?:[\w"]+\s*\.)?\s*"?$/;

/**
 * Why nobody can tell which kind of statement EXECUTE runs, as the end of a sentence about the code; null: it begins
 * with a known command, whatever it is about.
 * @param tokens of PL/pgSQL; names without quotes, strings as they are written
 * @param at the token behind EXECUTE
 */
export function madeUpProblem(tokens: readonly string[], at: number): string | null {
  return startsKnown(tokens, at, new Set()) ? null : 'runs statements that it makes up as a whole';
}

/** The text of a plain string constant; null: it is none. */
export function plainString(token: string): string | null {
  if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
  const quote = /^\$[^$]*\$/.exec(token)?.[0];
  return quote === undefined ? null : token.slice(quote.length, -quote.length);
}

/** Why the calls in its strings are not known, of code that runs strings; null: they are. */
export function madeUpCallProblem(tokens: readonly string[]): string | null {
  const problem = 'calls functions whose names it makes up';
  let before = '';
  for (const [index, token] of tokens.entries()) {
    const text = plainString(token);
    if (text === null) continue;
    for (const [, word = ''] of text.matchAll(madeUpCall)) {
      if (!beforeNames.test(word)) return problem;
    }
    const isConcatenated =
      tokens[index - 1] === '|' && plainString(tokens[index - 3] ?? '') === null;
    if (isConcatenated && /^"?\s*\(/.test(text)) {
      if (!beforeNames.test(endsInWord.exec(before)?.[1] ?? '')) return problem;
    }
    before = text;
  }
  return null;
}

/** Whether the expression at a token is a text that begins with a known command. */
function startsKnown(tokens: readonly string[], at: number, seen: Set<string>): boolean {
  const token = tokens[at] ?? '';
  const text = plainString(token);
  if (text !== null) return hasKnownVerbs(text);
  const next = tokens[at + 1] ?? '';
  if (token === '(') return startsKnown(tokens, at + 1, seen);
  if ((token === 'format' || token === 'concat') && next === '(') {
    return plainString(tokens[at + 2] ?? '') !== null && startsKnown(tokens, at + 2, seen);
  }
  if (!/^[\p{L}_]/u.test(token) || next === '(' || next === '.') return false;
  if (seen.has(token)) return true;
  seen.add(token);
  return assignedKnown(tokens, token, seen);
}

/** Whether all that a variable is ever given begins with a known command. */
function assignedKnown(tokens: readonly string[], name: string, seen: Set<string>): boolean {
  // Who else may give it a value.
  if (tokens.includes('call')) return false;
  let isDeclared = false;
  for (const [index, token] of tokens.entries()) {
    if (token === 'into' && targets(tokens, index).includes(name)) return false;
    if (token !== name) continue;
    const previous = tokens[index - 1] ?? '';
    if (previous === 'for' || previous === 'foreach') return false;
    let value = -1;
    if (isAssignment(tokens, index + 1)) value = valueAt(tokens, index + 1);
    else if (previous === 'declare' || previous === ';') {
      const end = tokens.indexOf(';', index);
      if (tokens.slice(index, end).includes('alias')) return false;
      isDeclared = true;
      const given = tokens.findIndex(
        (word, i) => i > index && i < end && (word === 'default' || isAssignment(tokens, i)),
      );
      if (given >= 0) value = valueAt(tokens, given);
    }
    if (value >= 0 && !startsKnown(tokens, value, seen)) return false;
  }
  return isDeclared;
}

/** `:=` is two tokens; `=` may be a comparison, which says no more than that. */
function isAssignment(tokens: readonly string[], at: number): boolean {
  return tokens[at] === '=' || (tokens[at] === ':' && tokens[at + 1] === '=');
}

function valueAt(tokens: readonly string[], at: number): number {
  return tokens[at] === ':' ? at + 2 : at + 1;
}

/** The variables behind INTO. */
function targets(tokens: readonly string[], into: number): readonly string[] {
  let at = tokens[into + 1] === 'strict' ? into + 2 : into + 1;
  const found = [tokens[at] ?? ''];
  while (tokens[at + 1] === ',') {
    at += 2;
    found.push(tokens[at] ?? '');
  }
  return found;
}

/** Whether each of the statements in a text begins with a known command, and makes nothing temporary. */
function hasKnownVerbs(text: string): boolean {
  if (/\btemp(orary)?\b/i.test(text)) return false;
  const statements = text.split(';').filter((statement) => /\S/.test(statement));
  return (
    statements.length > 0 &&
    statements.every((statement) => {
      const [, verb = ''] = /^[\s(]*([a-z]+)(?![\w$])/i.exec(statement) ?? [];
      return verbs.has(verb.toLowerCase());
    })
  );
}

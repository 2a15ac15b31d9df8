/**
 * Token ends as PostgreSQL's lexer finds them (PostgreSQL 18, src/backend/parser/scan.l, with
 * standard_conforming_strings on). Every function takes the bytes, the place behind what introduced the token and the
 * end of the text, and returns the place behind the token, or -1 where the lexer would raise an error.
 */

export const QUOTE = 0x27;
export const DOUBLE_QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const DOLLAR = 0x24;
export const MINUS = 0x2d;
export const SLASH = 0x2f;
export const STAR = 0x2a;
export const DOT = 0x2e;
export const AMPERSAND = 0x26;
export const UNDERSCORE = 0x5f;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** What a byte can begin, and whether it continues an identifier. */
export const ByteClass = {
  /** Refused by the lexer outside quotes. */
  invalid: 0,
  /** White space, punctuation, operator characters. */
  plain: 1,
  identifier: 2,
  /** A letter that introduces a string when a quote follows: b e u x. (N'x' is a keyword and a plain string.) */
  stringPrefix: 3,
  digit: 4,
  quote: 5,
  doubleQuote: 6,
  dollar: 7,
  minus: 8,
  slash: 9,
  dot: 10,
} as const;

export const byteClasses = classifyBytes();

function classifyBytes(): Uint8Array {
  const classes = new Uint8Array(256);
  const assign = (characters: string, value: number): void => {
    for (let i = 0; i < characters.length; i++) classes[characters.charCodeAt(i)] = value;
  };
  assign(' \t\n\r\f\v,()[];:+*%^<>=~!@#&|`?', ByteClass.plain);
  assign('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', ByteClass.identifier);
  classes.fill(ByteClass.identifier, 0x80);
  assign('bBeEuUxX', ByteClass.stringPrefix);
  assign('0123456789', ByteClass.digit);
  assign("'", ByteClass.quote);
  assign('"', ByteClass.doubleQuote);
  assign('$', ByteClass.dollar);
  assign('-', ByteClass.minus);
  assign('/', ByteClass.slash);
  assign('.', ByteClass.dot);
  return classes;
}

/** 1 for bytes that continue an identifier: letters, digits, `_`, `$` and everything above ASCII. */
export const identifierBytes = byteClasses.map((value) =>
  value === ByteClass.identifier ||
  value === ByteClass.stringPrefix ||
  value === ByteClass.digit ||
  value === ByteClass.dollar
    ? 1
    : 0,
);

export function isIdentifierStart(byte: number): boolean {
  const value = byteClasses[byte];
  return value === ByteClass.identifier || value === ByteClass.stringPrefix;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export function skipIdentifier(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && identifierBytes[bytes[i]!] === 1) i++;
  return i;
}

/** Behind the closing `quote`, where a doubled one stands for itself: `'it''s'`, `"a""b"`. */
export function skipDoubling(bytes: Uint8Array, from: number, end: number, quote: number): number {
  for (let i = from; i < end; i++) {
    if (bytes[i] !== quote) continue;
    if (i + 1 < end && bytes[i + 1] === quote) i++;
    else return i + 1;
  }
  return -1;
}

/** Behind the closing quote of `E'...'`. */
export function skipEscapes(bytes: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    const byte = bytes[i];
    if (byte === BACKSLASH) i++;
    else if (byte === QUOTE) {
      if (i + 1 < end && bytes[i + 1] === QUOTE) i++;
      else return i + 1;
    }
  }
  return -1;
}

/** Behind the closing quote of `B'...'` and `X'...'`, which know no doubled quotes. */
export function skipBits(bytes: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) {
    if (bytes[i] === QUOTE) return i + 1;
  }
  return -1;
}

/**
 * Behind the quote that continues a string on a further line (`'a'` newline `'b'` is one literal); -1 where the
 * string ended at `from`. Only white space with a newline and `--` comments may stand between.
 */
export function continuationAfter(bytes: Uint8Array, from: number, end: number): number {
  let newline = false;
  let i = from;
  while (i < end) {
    const byte = bytes[i]!;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) newline = true;
    else if (byte === QUOTE) return newline ? i + 1 : -1;
    else if (byte === MINUS && i + 1 < end && bytes[i + 1] === MINUS) {
      i = skipLineComment(bytes, i + 2, end);
      continue;
    } else if (!isSpace(byte)) return -1;
    i++;
  }
  return -1;
}

/** Blank, tab, newline, carriage return, form feed, vertical tab. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** At the newline, or the end. */
export function skipLineComment(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && bytes[i] !== LINE_FEED && bytes[i] !== CARRIAGE_RETURN) i++;
  return i;
}

/** Comments nest; `from` is behind the first slash and star. */
export function skipBlockComment(bytes: Uint8Array, from: number, end: number): number {
  let depth = 1;
  let i = from;
  while (i + 1 < end) {
    const byte = bytes[i];
    if (byte === STAR && bytes[i + 1] === SLASH) {
      i += 2;
      if (--depth === 0) return i;
    } else if (byte === SLASH && bytes[i + 1] === STAR) {
      depth++;
      i += 2;
    } else i++;
  }
  return -1;
}

/** White space and comments, as they may stand between any two tokens; -1 for an unterminated comment. */
export function skipBlanks(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end) {
    const byte = bytes[i]!;
    const next = i + 1 < end ? bytes[i + 1] : 0;
    if (isSpace(byte)) i++;
    else if (byte === MINUS && next === MINUS) i = skipLineComment(bytes, i + 2, end);
    else if (byte === SLASH && next === STAR) {
      i = skipBlockComment(bytes, i + 2, end);
      if (i < 0) return -1;
    } else break;
  }
  return i;
}

/** Length of the delimiter (`$$`, `$tag$`) at `from`; 0 where a dollar sign begins something else. */
export function dollarDelimiter(bytes: Uint8Array, from: number, end: number): number {
  let i = from + 1;
  if (i < end && isIdentifierStart(bytes[i]!)) {
    while (i < end && bytes[i] !== DOLLAR && identifierBytes[bytes[i]!] === 1) i++;
  }
  return i < end && bytes[i] === DOLLAR ? i + 1 - from : 0;
}

/** Behind the closing delimiter of the dollar-quoted string at `from`. */
export function skipDollarString(
  bytes: Uint8Array,
  from: number,
  end: number,
  delimiter: number,
): number {
  const last = end - delimiter;
  for (let i = from + delimiter; i <= last; i++) {
    if (bytes[i] !== DOLLAR) continue;
    let k = 1;
    while (k < delimiter && bytes[i + k] === bytes[from + k]) k++;
    if (k === delimiter) return i + delimiter;
  }
  return -1;
}

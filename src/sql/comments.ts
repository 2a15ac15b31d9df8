import {
  ByteClass,
  DOUBLE_QUOTE,
  MINUS,
  QUOTE,
  STAR,
  byteClasses,
  continuationAfter,
  dollarDelimiter,
  skipBlockComment,
  skipDollarString,
  skipDoubling,
  skipEscapes,
  skipIdentifier,
  skipLineComment,
} from './lexer.js';

const BLANK = 0x20;
const LOWER_E = 0x65;

/**
 * Overwrites every comment with blanks, so that all other bytes keep their place. libpg-query's lexer makes tokens of
 * comments, which breaks the grammar's look-ahead and string continuation: it refuses a comment between NOT and IN,
 * NULLS and FIRST, WITH and TIME ZONE, or the lines of one string, all of which PostgreSQL accepts. Besides, comment
 * begins in a row cost it quadratic time (100 kB of them 11 s).
 *
 * Returns where a comment begins that has no end, or -1. Of that one the begin stays, for PostgreSQL's error about it.
 */
export function blankComments(text: Uint8Array): number {
  const end = text.length;
  let i = 0;
  while (i >= 0 && i < end) {
    const byte = text[i]!;
    const next = i + 1 < end ? text[i + 1]! : 0;
    switch (byteClasses[byte]) {
      case ByteClass.minus:
        i = next === MINUS ? blank(text, i, skipLineComment(text, i + 2, end)) : i + 1;
        break;
      case ByteClass.slash:
        if (next === STAR) {
          const behind = skipBlockComment(text, i + 2, end);
          if (behind < 0) {
            text.fill(BLANK, i + 2);
            return i;
          }
          i = blank(text, i, behind);
        } else i++;
        break;
      case ByteClass.quote:
        i = skipDoubling(text, i + 1, end, QUOTE);
        break;
      case ByteClass.doubleQuote:
        i = skipDoubling(text, i + 1, end, DOUBLE_QUOTE);
        break;
      case ByteClass.stringPrefix:
        if (next === QUOTE && (byte | 0x20) === LOWER_E) i = blankInEscapeString(text, i + 2);
        else i = skipIdentifier(text, i + 1, end);
        break;
      case ByteClass.identifier:
        i = skipIdentifier(text, i + 1, end);
        break;
      case ByteClass.dollar: {
        const delimiter = dollarDelimiter(text, i, end);
        i = delimiter > 0 ? skipDollarString(text, i, end, delimiter) : i + 1;
        break;
      }
      default:
        i++;
    }
  }
  return -1;
}

function blank(text: Uint8Array, from: number, to: number): number {
  text.fill(BLANK, from, to);
  return to;
}

/** Pieces on further lines know escapes too, so they are not strings of their own. */
function blankInEscapeString(text: Uint8Array, from: number): number {
  const end = text.length;
  let piece = from;
  for (;;) {
    const behind = skipEscapes(text, piece, end);
    piece = behind < 0 ? -1 : continuationAfter(text, behind, end);
    if (piece < 0) return behind;
    let i = behind;
    while (i < piece) {
      if (text[i] === MINUS) i = blank(text, i, skipLineComment(text, i, end));
      else i++;
    }
  }
}

/** The 1-based character position in `text` of character `position` of its copy with blanked comments. */
export function positionWithComments(
  position: number,
  blanked: Uint8Array,
  text: Uint8Array,
): number {
  let characters = 0;
  let shift = 0;
  for (let i = 0; i < text.length; i++) {
    if (!isContinuationByte(blanked[i]!) && ++characters === position) break;
    if (isContinuationByte(text[i]!) && !isContinuationByte(blanked[i]!)) shift++;
  }
  return position - shift;
}

function isContinuationByte(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

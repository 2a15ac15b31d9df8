import { LineCounter, parseDocument, type Document, type ErrorCode, type Node } from 'yaml';
import { limits } from './limits.js';
import { override, type Overrides } from './overrides.js';
import { Reader, type Surroundings } from './reader.js';

/**
 * What is wrong and what to write, by the YAML library's error code. Its own messages quote the
 * text around the fault, which may be a password.
 */
const syntaxProblems: Readonly<Record<ErrorCode, readonly [message: string, cure: string]>> = {
  ALIAS_PROPS: ['an anchor or tag on an alias', 'leave it out: an alias is only *name'],
  BAD_ALIAS: ['an alias that cannot be read', 'write *name with letters, digits, _ and -'],
  BAD_COLLECTION_TYPE: ['a tag that does not fit its value', 'leave the tag (!...) out'],
  BAD_DIRECTIVE: ['a directive that cannot be read', 'leave lines that start with % out'],
  BAD_DQ_ESCAPE: [
    'an unknown \\ escape inside double quotes',
    'write \\\\ for a backslash, or use single quotes',
  ],
  BAD_INDENT: ['wrong indentation, or a bracket that is not closed', 'align it with its siblings'],
  BAD_PROP_ORDER: ['an anchor or tag in the wrong place', 'write it before the value'],
  BAD_SCALAR_START: ['text that starts with a reserved character', 'put the value in quotes'],
  BLOCK_AS_IMPLICIT_KEY: [
    'a second "key: value" on one line',
    'put it on a line of its own, indented, or put the value in quotes',
  ],
  BLOCK_IN_FLOW: ['an indented block inside { } or [ ]', 'write it with { } and [ ] as well'],
  DUPLICATE_KEY: ['a key that stands here twice', 'keep one of them'],
  IMPOSSIBLE: ['text that is no YAML', 'check quotes, brackets and indentation here'],
  KEY_OVER_1024_CHARS: ['a key of more than 1024 characters', 'put the value in quotes'],
  MISSING_CHAR: [
    'a missing quote, bracket, comma or blank',
    'close what is open, and put a blank behind ":" and ","',
  ],
  MULTILINE_IMPLICIT_KEY: ['a key over several lines', 'write "key: value" on one line'],
  MULTIPLE_ANCHORS: ['two anchors on one value', 'keep one of them'],
  MULTIPLE_DOCS: ['a second document', 'leave out what follows the line ---'],
  MULTIPLE_TAGS: ['two tags on one value', 'leave them out'],
  NON_STRING_KEY: ['a key that is not plain text', 'write a name before the colon'],
  RESOURCE_EXHAUSTION: ['values nested too deeply', 'nest as the documentation shows'],
  TAB_AS_INDENT: ['a tab as indentation', 'indent with blanks'],
  TAG_RESOLVE_FAILED: ['an unknown tag', 'leave the tag (!...) out'],
  UNEXPECTED_TOKEN: [
    'something that does not belong here',
    'check quotes, brackets and indentation; put ${...} and text with : or # in quotes',
  ],
};

/**
 * A file as far as YAML goes. `contents` null: it cannot be used, and the reader holds the reasons.
 */
export interface ParsedFile {
  readonly reader: Reader;
  readonly contents: Node | null;
}

/**
 * Parses YAML 1.2. Never throws; duplicate keys alone leave the contents usable, so that all
 * problems show at once.
 */
export function parseYaml(
  text: string,
  surroundings: Surroundings,
  overrides: Overrides = new Map(),
): ParsedFile {
  const lines = new LineCounter();
  let document: Document.Parsed;
  if (text.length > limits.configFileBytes.max) {
    return failed(lines, surroundings, 'the file is larger than 4 MB', 'name a configuration file');
  }
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  } catch {
    // A stack overflow; the parser throws nothing else.
    const cure = 'nest as the documentation shows';
    return failed(lines, surroundings, 'values nested too deeply', cure);
  }
  const reader = new Reader(document, lines, surroundings);
  reader.place([], 0);
  let usable = reportSyntax(reader, document);
  if (usable && !override(document, overrides)) {
    reader.reportAt(0, 'a value that was set cannot stand in the file', 'write another value');
    usable = false;
  }
  const contents = document.contents === null ? null : reader.resolve(document.contents);
  if (usable && contents === null) {
    reader.reportAt(0, 'the file is empty', 'write keyspaces: with at least one keyspace below');
    usable = false;
  }
  return { reader, contents: usable ? contents : null };
}

function failed(
  lines: LineCounter,
  surroundings: Surroundings,
  message: string,
  cure: string,
): ParsedFile {
  if (lines.lineStarts.length === 0) lines.addNewLine(0);
  const reader = new Reader(parseDocument(''), lines, surroundings);
  reader.reportAt(0, message, cure);
  return { reader, contents: null };
}

/** True where only duplicate keys and unknown tags were found, which do not blur the rest. */
function reportSyntax(reader: Reader, document: Document.Parsed): boolean {
  let usable = true;
  const reportedLines = new Set<number>();
  for (const error of [...document.errors, ...document.warnings]) {
    const harmless = error.code === 'DUPLICATE_KEY' || error.code === 'TAG_RESOLVE_FAILED';
    if (!harmless) usable = false;
    // One slip makes the rest of its line unexpected, too.
    const line = reader.lineAt(error.pos[0]);
    if (!harmless && reportedLines.has(line)) continue;
    reportedLines.add(line);
    const [message, cure] = syntaxProblems[error.code];
    reader.reportAt(error.pos[0], message, cure);
  }
  return usable;
}

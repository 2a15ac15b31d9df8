import type { DefElem, Node } from '@pgsql/types';
import { defElemText, stringsOf } from './ast.js';
import type { CopyFormat } from './plan.js';
import { refuse } from './refusals.js';

const encoder = new TextEncoder();

/** The options of a COPY that say how its data is cut into fields (PostgreSQL 18, COPY). */
interface Options {
  format: string;
  delimiter: string | null;
  nullText: string | null;
  header: boolean;
  quote: string;
  escape: string | null;
  defaultText: string | null;
  forceNotNull: boolean;
  forceNull: boolean;
}

/**
 * Reads the options; wrong ones are left to PostgreSQL, which refuses them before any data comes.
 */
export function copyFormat(
  nodes: readonly Node[] | undefined,
  keyColumns: readonly string[],
): CopyFormat {
  const options: Options = {
    format: 'text',
    delimiter: null,
    nullText: null,
    header: false,
    quote: '"',
    escape: null,
    defaultText: null,
    forceNotNull: false,
    forceNull: false,
  };
  for (const node of nodes ?? [])
    if ('DefElem' in node) readOption(node.DefElem, keyColumns, options);
  return buildFormat(options);
}

function readOption(element: DefElem, keyColumns: readonly string[], options: Options): void {
  const text = defElemText(element);
  switch (element.defname) {
    case 'format':
      options.format = (text ?? '').toLowerCase();
      return;
    case 'delimiter':
      options.delimiter = text;
      return;
    case 'null':
      options.nullText = text;
      return;
    case 'header':
      options.header = text === null || !/^(off|false|0)$/i.test(text);
      return;
    case 'quote':
      options.quote = text ?? '"';
      return;
    case 'escape':
      options.escape = text;
      return;
    case 'default':
      options.defaultText = text;
      return;
    case 'force_not_null':
      options.forceNotNull = names(element, keyColumns);
      return;
    case 'force_null':
      options.forceNull = names(element, keyColumns);
      return;
    case 'encoding':
      checkEncoding(text ?? '');
      return;
    case 'reject_limit':
      refuse(
        'COPY with REJECT_LIMIT is not supported: every shard would count by itself',
        'Leave REJECT_LIMIT out.',
      );
      return;
    default:
  }
}

/** Shard keys are mapped by their UTF-8 bytes. */
function checkEncoding(name: string): void {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  if (plain === 'utf8' || plain === 'unicode' || plain === 'sqlascii') return;
  refuse(`COPY with ENCODING '${name}' is not supported`, 'Convert the data to UTF-8.');
}

/** Whether the column list of an option, or its `*`, holds the columns of the shard key. */
function names(element: DefElem, keyColumns: readonly string[]): boolean {
  const argument = element.arg;
  if (argument === undefined) return false;
  if ('A_Star' in argument) return true;
  const listed = 'List' in argument ? stringsOf(argument.List.items) : [];
  const held = keyColumns.filter((name) => listed.includes(name));
  if (held.length > 0 && held.length < keyColumns.length) {
    refuse(
      `COPY with ${(element.defname ?? '').toUpperCase()} for some columns of the shard key only is not supported`,
      `Name all of them: ${keyColumns.join(', ')}.`,
    );
  }
  return held.length > 0;
}

function buildFormat(options: Options): CopyFormat {
  const { format, header } = options;
  if (format === 'binary') return { kind: 'binary' };
  const defaultText = options.defaultText === null ? null : encoder.encode(options.defaultText);
  if (format === 'csv') {
    return {
      kind: 'csv',
      delimiter: byteOf(options.delimiter ?? ',', 'delimiter'),
      quote: byteOf(options.quote, 'quote'),
      escape: byteOf(options.escape ?? options.quote, 'escape'),
      nullText: encoder.encode(options.nullText ?? ''),
      header,
      defaultText,
      forceNotNull: options.forceNotNull,
      forceNull: options.forceNull,
    };
  }
  if (format !== 'text') {
    const message = `COPY format "${format}" not recognized`;
    refuse(message, 'Use text, csv or binary.', 'invalid_parameter_value');
  }
  return {
    kind: 'text',
    delimiter: byteOf(options.delimiter ?? '\t', 'delimiter'),
    nullText: encoder.encode(options.nullText ?? '\\N'),
    header,
    defaultText,
  };
}

function byteOf(text: string, option: string): number {
  const bytes = encoder.encode(text);
  if (bytes.length !== 1) {
    refuse(
      `COPY ${option} must be a single one-byte character`,
      'Use a character such as a comma.',
    );
  }
  return bytes[0]!;
}

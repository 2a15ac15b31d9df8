import type { DefElem, Node } from '@pgsql/types';
import { defElemText } from './ast.js';
import { copyFormat } from './copy-options.js';
import type { CopyOutFormat } from './plan.js';
import { refuse } from './refusals.js';

/** Options of each format that COPY TO has; ENCODING is checked where all are read. */
const OPTIONS: Readonly<Record<CopyOutFormat['kind'], readonly string[]>> = {
  text: ['format', 'encoding', 'delimiter', 'null', 'header'],
  csv: ['format', 'encoding', 'delimiter', 'null', 'header', 'quote', 'escape', 'force_quote'],
  binary: ['format', 'encoding'],
};
/** Delimiters that text format does not take (PostgreSQL 18, copy.c). */
const NO_DELIMITER = '\\.abcdefghijklmnopqrstuvwxyz0123456789\r\n';
const CR = 0x0d;
const LF = 0x0a;

/**
 * Reads the options of a COPY TO whose data is made here. Those that PostgreSQL refuses, in words that only it has,
 * are refused too. Throws Refused.
 */
export function copyOutFormat(nodes: readonly Node[] | undefined): CopyOutFormat {
  const elements = (nodes ?? []).flatMap((node) => ('DefElem' in node ? [node.DefElem] : []));
  const format = copyFormat(nodes, []);
  const names = elements.map(({ defname }) => defname ?? '');
  const allowed = OPTIONS[format.kind];
  if (new Set(names).size < names.length || names.some((name) => !allowed.includes(name))) {
    refuseOptions();
  }
  if (format.kind === 'binary') return { kind: 'binary' };
  checkHeader(elements);
  const { kind, delimiter, nullText, header } = format;
  const special = kind === 'csv' ? [delimiter, format.quote] : [delimiter];
  if (nullText.some((byte) => byte === CR || byte === LF || special.includes(byte))) {
    refuseOptions();
  }
  if (kind === 'text') {
    if (NO_DELIMITER.includes(String.fromCharCode(delimiter))) refuseOptions();
    return { kind, delimiter, nullText, header };
  }
  const { quote, escape } = format;
  if (delimiter === quote || [CR, LF].includes(delimiter)) refuseOptions();
  return { kind, delimiter, quote, escape, nullText, header, quotesAll: quotesAll(elements) };
}

/** HEADER takes a truth value here, and MATCH is for COPY FROM only. */
function checkHeader(elements: readonly DefElem[]): void {
  const header = elements.find(({ defname }) => defname === 'header');
  const text = header === undefined ? null : defElemText(header);
  if (text !== null && !/^(on|off|true|false|1|0)$/i.test(text)) refuseOptions();
}

/** Whether FORCE_QUOTE names the columns that a result has is not known here. */
function quotesAll(elements: readonly DefElem[]): boolean {
  const argument = elements.find(({ defname }) => defname === 'force_quote')?.arg;
  if (argument === undefined) return false;
  return 'A_Star' in argument ? true : refuseOptions();
}

function refuseOptions(): never {
  refuse(
    'COPY with these options is not supported for a query over several shards',
    'Use FORMAT, DELIMITER, NULL, HEADER, QUOTE, ESCAPE and FORCE_QUOTE * as PostgreSQL has them for COPY TO.',
  );
}

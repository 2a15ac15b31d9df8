// @ts-check

/**
 * A Markdown table whose columns line up in a terminal too. The first column is text, the others
 * are figures.
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function table(head, rows) {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  const pad = (/** @type {string} */ cell, /** @type {number} */ i) =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  const line = (/** @type {readonly string[]} */ row) =>
    `| ${head.map((_, i) => pad(row[i] ?? '', i)).join(' | ')} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** @param {readonly number[]} values not empty */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** @param {readonly number[]} values positive, not empty */
export function geometricMean(values) {
  const sum = values.reduce((total, value) => total + Math.log(value), 0);
  return Math.exp(sum / values.length);
}

/**
 * @param {number} value NaN: there is none
 * @param {number} [digits]
 */
export function figure(value, digits = 1) {
  if (Number.isNaN(value)) return '-';
  const [whole, fraction] = value.toFixed(digits).split('.');
  const grouped = (whole ?? '').replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return figure(bytes / 1e6, 0);
}

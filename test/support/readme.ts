import { readFileSync } from 'node:fs';

const readmeFile = new URL('../../README.md', import.meta.url);

/** The text of README.md below the heading `## title`, up to the next one of that level. */
export function sectionOf(title: string): string {
  const text = readFileSync(readmeFile, 'utf8');
  const start = text.indexOf(`\n## ${title}\n`);
  if (start < 0) throw new Error(`README.md has no section "${title}"`);
  const end = text.indexOf('\n## ', start + 1);
  return text.slice(start, end < 0 ? text.length : end);
}

/**
 * The rows of the last table of a section, as cells without back quotes; its head is left out.
 */
export function tableOf(title: string): string[][] {
  const tables = sectionOf(title)
    .split(/\n(?!\|)/)
    .filter((block) => block.includes('\n|---') || block.startsWith('|---'));
  const rows =
    tables
      .at(-1)
      ?.split('\n')
      .filter((line) => line.startsWith('|')) ?? [];
  return rows.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

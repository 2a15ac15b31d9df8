import type { RandomSelect } from './select-grammar.js';
import {
  TOO_LARGE,
  type Protocol,
  type SelectOutcome,
  type SelectSession,
} from './select-session.js';

export type Verdict =
  /** Equal rows, columns, tag. */
  | { readonly kind: 'answered' }
  /** Both failed. */
  | { readonly kind: 'failed' }
  /** 0A000 with a hint, where the oracle answers. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The oracle took too long; its session may be a new one. */
  | { readonly kind: 'skipped' }
  | { readonly kind: 'wrong'; readonly why: string };

/** Runs a statement on both sides and judges the proxy's answer. */
export async function compareSelect(
  proxy: SelectSession,
  oracle: SelectSession,
  select: RandomSelect,
  protocol: Protocol,
): Promise<Verdict> {
  const [ours, theirs] = await Promise.all([
    proxy.run(select.sql, protocol, select.params),
    oracle.run(select.sql, protocol, select.params),
  ]);
  if (theirs.error?.state === '57014' || theirs.error?.state === TOO_LARGE) {
    return { kind: 'skipped' };
  }
  const { error } = ours;
  if (error?.state === '0A000' && theirs.error?.state !== '0A000') {
    if (error.hint === null) return wrong(`a refusal without a hint: ${error.message}`);
    return { kind: 'refused', message: error.message };
  }
  if (error !== null || theirs.error !== null) return failures(ours, theirs);
  if (protocol === 'simple' && String(ours.columns) !== String(theirs.columns)) {
    // Postgres itself tells other modifiers of EXCEPT when it describes a statement than when it
    // runs it.
    const columns = await oracle.describe(select.sql);
    const described = String(ours.columns) === String(columns) ? { ...theirs, columns } : theirs;
    return await judged(ours, described, oracle, select, protocol);
  }
  return await judged(ours, theirs, oracle, select, protocol);
}

/** Judges an answer where neither side failed. */
async function judged(
  ours: SelectOutcome,
  theirs: SelectOutcome,
  oracle: SelectSession,
  select: RandomSelect,
  protocol: Protocol,
): Promise<Verdict> {
  if (select.uncut !== null) {
    const uncut = await oracle.run(select.uncut, protocol, neededBy(select));
    // All rows may be far too many.
    if (uncut.error !== null) return { kind: 'skipped' };
    return cutRows(ours, theirs, uncut, select.order);
  }
  return sameRows(ours, theirs, select.order);
}

/** Without LIMIT, the last parameters may be missing from the text: values of others stay. */
function neededBy({ uncut, params }: RandomSelect): RandomSelect['params'] {
  const numbers = [...uncut!.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number));
  return params.slice(0, Math.max(0, ...numbers));
}

function wrong(why: string): Verdict {
  return { kind: 'wrong', why };
}

/** States that a lost or broken proxy answers with, which no statement of ours earns. */
const BROKEN = /^(lost|XX|08|57|58|53|25)/;

function failures(ours: SelectOutcome, theirs: SelectOutcome): Verdict {
  const text = ({ error, rows }: SelectOutcome): string =>
    error === null ? `${rows.length} rows` : `${error.state} ${error.message}`;
  const [a, b] = [ours.error, theirs.error];
  if (a === null || b === null || BROKEN.test(a.state) || a.state !== b.state) {
    return wrong(`got ${text(ours)}, expected ${text(theirs)}`);
  }
  return { kind: 'failed' };
}

function sameRows(
  ours: SelectOutcome,
  theirs: SelectOutcome,
  order: RandomSelect['order'],
): Verdict {
  const outside = differenceOutside(ours, theirs);
  if (outside !== null) return wrong(outside);
  const [mine, right] = [ours.rows.map(asText), theirs.rows.map(asText)];
  if (order === 'all') return compareLists(mine, right, 'rows in order');
  const rows = compareLists([...mine].sort(), [...right].sort(), 'rows in any order');
  if (rows.kind === 'wrong') return rows;
  return sameKeys(ours, theirs, order);
}

/** LIMIT cut among equal rows: as many, with the same keys, and all of them rows that there are. */
function cutRows(
  ours: SelectOutcome,
  theirs: SelectOutcome,
  uncut: SelectOutcome,
  order: RandomSelect['order'],
): Verdict {
  const outside = differenceOutside(ours, theirs);
  if (outside !== null) return wrong(outside);
  const left = new Map<string, number>();
  for (const row of uncut.rows.map(asText)) left.set(row, (left.get(row) ?? 0) + 1);
  for (const row of ours.rows.map(asText)) {
    const count = left.get(row) ?? 0;
    if (count === 0) return wrong(`a row that is not among all rows: ${row}`);
    left.set(row, count - 1);
  }
  return order === 'all' ? { kind: 'answered' } : sameKeys(ours, theirs, order);
}

function differenceOutside(ours: SelectOutcome, theirs: SelectOutcome): string | null {
  const [columns, right] = [ours.columns.join(', '), theirs.columns.join(', ')];
  if (columns !== right) return `columns ${columns}, expected ${right}`;
  if (ours.tag !== theirs.tag) return `tag ${ours.tag ?? ''}, expected ${theirs.tag ?? ''}`;
  if (ours.rows.length !== theirs.rows.length) {
    return `${ours.rows.length} rows, expected ${theirs.rows.length}`;
  }
  return null;
}

function sameKeys(ours: SelectOutcome, theirs: SelectOutcome, keys: readonly number[]): Verdict {
  const of = ({ rows }: SelectOutcome): string[] =>
    rows.map((row) => asText(keys.map((key) => row[key]!)));
  return compareLists(of(ours), of(theirs), 'sort keys');
}

function compareLists(mine: readonly string[], right: readonly string[], what: string): Verdict {
  const at = mine.findIndex((row, i) => row !== right[i]);
  if (at === -1) return { kind: 'answered' };
  return wrong(`${what}: number ${at} is ${mine[at]!}, expected ${String(right[at])}`);
}

function asText(row: readonly (string | null)[]): string {
  return JSON.stringify(row);
}

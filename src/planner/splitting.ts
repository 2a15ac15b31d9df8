import type { Analysis } from './analysis.js';
import { samplesByCount } from './samples.js';
import { levelBlock, showsInnerOrder, type Allowed } from './level-blocks.js';
import { reachable, type Entry, type FullJoin, type Level, type Variable } from './model.js';
import type { Placement, ShardedOccurrence, Tables } from './placement.js';
import { refusal } from './refusals.js';
import type { Refusal } from './plan.js';

/**
 * Whether the shards' own answers, put together, are the statement's answer.
 *
 * They are where every result row comes from rows of one key of one sharded table (the driver), and
 * every other sharded table only matters in rows whose key equals the driver's: each shard then
 * holds all that its driver's rows meet. Groups, windows and distinct rows that are told apart by
 * the key are made of rows of one shard; a set operation has a driver in each arm.
 */
export type Split = SplitQuery | { readonly kind: 'whole'; readonly problem: Refusal };

export interface SplitQuery {
  readonly kind: 'split';
  /** What its rows come from; several: the arms of set operations. */
  readonly drivers: readonly ShardedOccurrence[];
}

/** What drives a query: where each of its rows comes from. */
interface Drive {
  readonly tables: readonly ShardedOccurrence[];
  /**
   * Variables that hold the shard key of each row, by its columns; none where arms have it in
   * different places.
   */
  readonly keys: readonly ReadonlySet<Variable>[];
  /** Tables that are known to be met on the row's own shard only. */
  readonly settled: ReadonlySet<ShardedOccurrence>;
}

/**
 * Splits a query. `top` is its outermost level; `allowed` names constructs there that somebody else
 * answers for.
 */
export function splitQuery(
  top: Level,
  placement: Placement,
  analysis: Analysis,
  allowed: Allowed = 'nothing',
): Split {
  const obstacle = obstacleOf(placement, analysis);
  if (obstacle !== null) return whole(obstacle, placement);
  if (allowed !== 'grouping' && showsInnerOrder(top)) {
    return whole('the order of a sub-select', placement);
  }
  const splitter = new Splitter(placement, analysis);
  const drives = splitter.drives(top, allowed);
  if (drives.length === 0) {
    return whole(splitter.construct(top, allowed), placement);
  }
  return splitBy(drives, placement, analysis);
}

/**
 * Splits a UNION of which the shards may each give some rows, several of them the same ones: equal
 * rows are made one afterwards. So arms need not give each row once; an arm without sharded tables
 * gives all of its rows on every shard. Null where it does not split even so.
 */
export function splitUnion(
  top: Level,
  placement: Placement,
  analysis: Analysis,
): SplitQuery | null {
  if (top.operation !== 'UNION' || obstacleOf(placement, analysis) !== null) return null;
  const splitter = new Splitter(placement, analysis);
  const drivers = top.arms.map((arm) => splitter.unionDrivers(arm));
  return drivers.includes(null) ? null : { kind: 'split', drivers: drivers.flatMap((d) => d!) };
}

/** Splits an UPDATE or DELETE: its target is what drives it. */
export function splitModification(
  target: ShardedOccurrence,
  placement: Placement,
  analysis: Analysis,
): Split {
  const obstacle = obstacleOf(placement, analysis);
  if (obstacle !== null) return whole(obstacle, placement);
  return splitBy([driveOf(target, analysis)], placement, analysis);
}

/** The tables of which a modification may need rows that are not on the shard of the target's row. */
export function straysOf(
  target: ShardedOccurrence,
  tables: readonly ShardedOccurrence[],
  analysis: Analysis,
): ShardedOccurrence[] {
  const drive = driveOf(target, analysis);
  return tables.filter((table) => !follows(table, drive, analysis));
}

function obstacleOf(placement: Tables, analysis: Analysis): string | null {
  if (analysis.nestedWrites > 0) return 'a data-modifying WITH query';
  if (placement.reference.some(({ entry }) => analysis.sampled.has(entry))) {
    return 'TABLESAMPLE of a reference table';
  }
  if (placement.sharded.some(({ entry }) => samplesByCount(entry, analysis))) {
    return 'TABLESAMPLE of other methods than BERNOULLI and SYSTEM';
  }
  return serverObstacle(placement, analysis);
}

/** What only one server can answer, whatever tables it is asked of. */
export function serverObstacle(placement: Tables, analysis: Analysis): string | null {
  if (placement.system.length > 0) return 'a join with system catalogs';
  if (analysis.systemColumn !== null) return `system column "${analysis.systemColumn}"`;
  if (analysis.readsCatalog) return 'an object identifier or a function that describes the server';
  return null;
}

function splitBy(drives: readonly Drive[], placement: Placement, analysis: Analysis): Split {
  for (const drive of drives) {
    if (strayOf(placement.sharded, drive, analysis) === null) {
      return { kind: 'split', drivers: drive.tables };
    }
  }
  const driver = drives[0]!.tables[0]!;
  const stray = strayOf(placement.sharded, drives[0]!, analysis)!;
  return {
    kind: 'whole',
    problem: refusal(
      `tables "${driver.relation.name}" and "${stray.relation.name}" are not joined on their shard keys, ` +
        'so rows of several shards would have to meet',
      `Join them with ${nameOf(driver)} = ${nameOf(stray)}, or compare both with the same key value.`,
    ),
  };
}

/** A table whose rows may matter away from the driver's row; null where there is none. */
function strayOf(
  tables: readonly ShardedOccurrence[],
  drive: Drive,
  analysis: Analysis,
): ShardedOccurrence | null {
  return tables.find((table) => !follows(table, drive, analysis)) ?? null;
}

/** Whether rows of `other` only matter where their key is that of the driver's row. */
function follows(other: ShardedOccurrence, drive: Drive, analysis: Analysis): boolean {
  if (drive.settled.has(other)) return true;
  if (!sameMapping(other, drive.tables[0]!)) return false;
  const from = analysis.keysOf(other);
  if (from === null || from.length !== drive.keys.length) return false;
  return from.every((variable, place) => meets(variable, drive.keys[place]!));
}

/** Whether a variable can only have the value of one of these. */
function meets(variable: Variable, keys: ReadonlySet<Variable>): boolean {
  for (const source of reachable(variable)) if (keys.has(source)) return true;
  return false;
}

function driveOf(table: ShardedOccurrence, analysis: Analysis): Drive {
  const keys = (analysis.keysOf(table) ?? []).map((key) => new Set([key]));
  return { tables: [table], keys, settled: new Set([table]) };
}

class Splitter {
  readonly #placement: Placement;
  readonly #analysis: Analysis;
  readonly #tables: ReadonlyMap<Entry, ShardedOccurrence>;

  constructor(placement: Placement, analysis: Analysis) {
    this.#placement = placement;
    this.#analysis = analysis;
    this.#tables = new Map(placement.sharded.map((table) => [table.entry, table]));
  }

  /** All that may drive a query; empty where its rows come from several shards together. */
  drives(level: Level, allowed: Allowed): Drive[] {
    return this.#rowDrives(level).filter((drive) => this.#block(level, drive, allowed) === null);
  }

  /** Why a query has no drive. */
  construct(level: Level, allowed: Allowed): string {
    const drives = this.#rowDrives(level);
    const own =
      drives.length > 0 || level.arms.length > 0
        ? this.#block(level, drives[0] ?? null, allowed)
        : levelBlock(level, allowed, () => false);
    if (own !== null) return own;
    for (const entry of level.entries) {
      const table = this.#analysis.tables.get(entry)?.relation.name;
      if (entry.nullable && table !== undefined) {
        return `an outer join that keeps rows without a row of "${table}"`;
      }
      const { query } = entry;
      if (query === null || !this.#holdsSharded(query)) continue;
      if (entry.nullable) return 'an outer join that keeps rows without a row of its sub-select';
      if (query.references !== 1) return 'a WITH query that is used more than once';
      const construct = this.construct(query, 'nothing');
      return construct.endsWith('sub-select') ? construct : `${construct} in a sub-select`;
    }
    return 'a sub-select that is not tied to a shard key';
  }

  #block(level: Level, drive: Drive | null, allowed: Allowed): string | null {
    if (level.arms.length > 0 && drive === null) return 'UNION, INTERSECT or EXCEPT';
    return levelBlock(
      level,
      allowed,
      (columns) => drive !== null && holdsKey(columns, level, drive),
    );
  }

  /** What drives the rows of FROM, or of the arms, before the level does anything with them. */
  #rowDrives(level: Level): Drive[] {
    if (level.arms.length > 0) {
      const drive = this.#armsDrive(level);
      return drive === null ? [] : [drive];
    }
    const out = level.entries
      .filter(({ nullable }) => !nullable)
      .flatMap((e) => this.#entryDrives(e));
    return [...out, ...level.fullJoins.flatMap((join) => this.#fullDrives(join))];
  }

  #entryDrives(entry: Entry): Drive[] {
    const table = this.#tables.get(entry);
    if (table !== undefined) return [driveOf(table, this.#analysis)];
    return entry.query?.references === 1 ? this.drives(entry.query, 'nothing') : [];
  }

  /** Rows of either side, which only meet rows of the same key; no column holds it in all of them. */
  #fullDrives({ left, right, equal }: FullJoin): Drive[] {
    const out: Drive[] = [];
    for (const a of this.#sideDrives(left)) {
      for (const b of this.#sideDrives(right)) {
        const meet =
          a.keys.length > 0 &&
          a.keys.length === b.keys.length &&
          sameMapping(a.tables[0]!, b.tables[0]!) &&
          a.keys.every((key, place) =>
            equal.some(([one, other]) => meets(one, key) && meets(other, b.keys[place]!)),
          );
        const settled = new Set([...a.settled, ...b.settled]);
        if (meet) out.push({ tables: [...a.tables, ...b.tables], keys: [], settled });
      }
    }
    return out;
  }

  /** Drives of one side of a join that all of its tables follow. */
  #sideDrives(entry: Entry): Drive[] {
    const { query } = entry;
    if (query === null) return this.#entryDrives(entry);
    return query.references === 1 ? this.#settledDrives(query) : [];
  }

  /**
   * UNION ALL: rows of either arm. Everything else compares rows, so the key must stand at one
   * place in both: equal rows then are on one shard.
   */
  #armsDrive(level: Level): Drive | null {
    const [left, right] = level.arms.map((arm) => ({ arm, drives: this.#settledDrives(arm) }));
    let alternative: Drive | null = null;
    for (const a of left!.drives) {
      for (const b of right!.drives) {
        const keys = this.#armsKeys(level, left!.arm, a, right!.arm, b);
        const settled = new Set([...a.settled, ...b.settled]);
        const drive = { tables: [...a.tables, ...b.tables], keys, settled };
        if (keys.length > 0) return drive;
        if (level.operation === 'UNION ALL') alternative ??= drive;
      }
    }
    return alternative;
  }

  /** The outputs that hold the key in either arm, by its columns; none where one is not held. */
  #armsKeys(level: Level, left: Level, a: Drive, right: Level, b: Drive): Set<Variable>[] {
    if (!sameMapping(a.tables[0]!, b.tables[0]!)) return [];
    if (a.keys.length !== b.keys.length) return [];
    const found = a.keys.map((own, place) => {
      const others = b.keys[place]!;
      const keys = new Set<Variable>();
      level.outputs.forEach(({ variable }, index) => {
        if (variable === null) return;
        if (!holdsColumn(left.outputs[index]?.variable ?? null, left, own)) return;
        if (holdsColumn(right.outputs[index]?.variable ?? null, right, others)) keys.add(variable);
      });
      return keys;
    });
    return found.some(({ size }) => size === 0) ? [] : found;
  }

  /** What drives an arm of which rows may come more than once; null: nothing does. */
  unionDrivers(arm: Level): readonly ShardedOccurrence[] | null {
    if (arm.limited) return null;
    if (this.#tablesBelow(arm).length === 0) {
      return this.#analysis.volatileFunction === null && !this.#isCutBelow(arm) ? [] : null;
    }
    if (arm.operation === 'UNION' || arm.operation === 'UNION ALL') {
      const drivers = arm.arms.map((part) => this.unionDrivers(part));
      return drivers.includes(null) ? null : drivers.flatMap((part) => part!);
    }
    return this.#settledDrives(arm, 'distinct')[0]?.tables ?? null;
  }

  /** Rows that LIMIT leaves, or that DISTINCT ON chooses, need not be the same on every server. */
  #isCutBelow(level: Level): boolean {
    return [...this.levelsBelow(level)].some(({ limited, distinctOn }) => limited || distinctOn);
  }

  /** Drives of an arm that all other tables of the arm follow. */
  #settledDrives(arm: Level, allowed: Allowed = 'nothing'): Drive[] {
    const tables = this.#tablesBelow(arm);
    return this.drives(arm, allowed)
      .filter((drive) => strayOf(tables, drive, this.#analysis) === null)
      .map((drive) => ({ ...drive, settled: new Set([...drive.settled, ...tables]) }));
  }

  #tablesBelow(level: Level): ShardedOccurrence[] {
    const levels = this.levelsBelow(level);
    return this.#placement.sharded.filter((table) => levels.has(table.entry.level));
  }

  #holdsSharded(level: Level): boolean {
    return this.#tablesBelow(level).length > 0;
  }

  /** A query with all queries that it is made of: sub-selects, arms, WITH queries it refers to. */
  levelsBelow(level: Level): Set<Level> {
    const levels = new Set([level]);
    // A Set iterates over what is added while it is walked.
    for (const member of levels) {
      for (const arm of member.arms) levels.add(arm);
      for (const { query } of member.entries) if (query !== null) levels.add(query);
      for (const other of this.#analysis.levels) if (other.parent === member) levels.add(other);
    }
    return levels;
  }
}

/** Whether columns of the level's FROM (or arms) hold the drive's key in every row. */
function holdsKey(columns: Iterable<Variable>, level: Level, { keys }: Drive): boolean {
  const own = [...columns];
  return (
    keys.length > 0 &&
    keys.every((key) => own.some((variable) => holdsColumn(variable, level, key)))
  );
}

/** Whether a column holds one of the key's: it may be no null-extended one. */
function holdsColumn(variable: Variable | null, level: Level, key: ReadonlySet<Variable>): boolean {
  if (variable === null || variable.entry.level !== level || variable.entry.nullable) return false;
  return meets(variable, key);
}

/** Whether equal keys of the two tables are on the same shard. */
export function sameMapping(a: ShardedOccurrence, b: ShardedOccurrence): boolean {
  const [one, other] = [a.table, b.table];
  return (
    one.keyspace === other.keyspace &&
    one.vindex.mapping === other.vindex.mapping &&
    one.keyColumns.length === other.keyColumns.length
  );
}

export function nameOf(occurrence: ShardedOccurrence): string {
  const { table, entry } = occurrence;
  const alias = entry.alias === '' ? table.name : entry.alias;
  const columns = table.keyColumns.map((name) => `${alias}.${name}`);
  return columns.length === 1 ? columns[0]! : `(${columns.join(', ')})`;
}

/** The split of a query that has this construct. */
export function whole(construct: string, placement: Placement): Split {
  const occurrence = placement.sharded[0]!;
  const column = nameOf(occurrence);
  return {
    kind: 'whole',
    problem: refusal(
      `${construct} over several shards of table "${occurrence.relation.name}" is not supported`,
      `Bind the shard key, as in ${column} = value, so that one shard can answer.`,
    ),
  };
}

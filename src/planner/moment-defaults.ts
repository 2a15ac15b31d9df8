import type { MergeWhenClause, Node, RangeVar } from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import type { Shard } from '../keyspace/topology.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Tokens } from '../sql/tokens.js';
import { bodyOf, forEachChild } from './ast.js';
import type { Edit } from './fill-plan.js';
import { momentColumns, valueOf, type IdColumn } from './id-sources.js';
import type { Names } from './names.js';

/** What a statement leaves to defaults which are the time of the transaction, but for rows of INSERT. */
export interface MomentDefaults {
  /** `SET column = DEFAULT`, or DEFAULT among the values of a MERGE: the byte where the word begins. */
  readonly words: readonly { readonly start: number; readonly id: IdColumn }[];
  /** INSERT clauses of a MERGE, in the order of the text. */
  readonly inserts: readonly MergeInsert[];
}

interface MergeInsert {
  readonly omitted: readonly IdColumn[];
  /** The columns that it gives without naming them; null: it names them. */
  readonly given: readonly string[] | null;
}

/** @param shards one of them is asked for the time */
export function momentDefaults(node: Node, names: Names, shards: readonly Shard[]): MomentDefaults {
  const words: { start: number; id: IdColumn }[] = [];
  const inserts: MergeInsert[] = [];
  const columnsOf = (
    range: RangeVar | undefined,
  ): readonly [CatalogRelation, IdColumn[]] | null => {
    const relation = names.find(range?.schemaname ?? null, range?.relname ?? '');
    return relation === null ? null : [relation, momentColumns(relation, shards)];
  };
  const sets = (range: RangeVar | undefined, targets: readonly Node[] = []): void => {
    const ids = targets.some(isDefaulted) ? (columnsOf(range)?.[1] ?? []) : [];
    for (const target of targets) {
      const cell = defaultOf(target);
      const id = ids.find(({ column }) => column.name === nameOf(target));
      if (cell !== null && id !== undefined) words.push({ start: cell, id });
    }
  };
  const visit = (child: Node): void => {
    if ('UpdateStmt' in child) sets(child.UpdateStmt.relation, child.UpdateStmt.targetList);
    else if ('InsertStmt' in child) {
      sets(child.InsertStmt.relation, child.InsertStmt.onConflictClause?.targetList);
    } else if ('MergeStmt' in child) {
      const { relation, mergeWhenClauses = [] } = child.MergeStmt;
      const found = columnsOf(relation);
      for (const part of mergeWhenClauses) {
        if (!('MergeWhenClause' in part)) continue;
        const { MergeWhenClause: clause } = part;
        if (clause.commandType === 'CMD_UPDATE') sets(relation, clause.targetList);
        if (clause.commandType !== 'CMD_INSERT' || found === null) continue;
        const { insert, defaulted } = mergeInsert(clause, ...found);
        inserts.push(insert);
        words.push(...defaulted);
      }
    }
    forEachChild(bodyOf(child), visit);
  };
  visit(node);
  return { words, inserts };
}

/** Whether there is anything to fill in. */
export function takesMoments({ words, inserts }: MomentDefaults): boolean {
  return words.length > 0 || inserts.some(({ omitted }) => omitted.length > 0);
}

/** Values in the places of defaults; null: not every place is certain. */
export function defaultEdits({ words, inserts }: MomentDefaults, tokens: Tokens): Edit[] | null {
  const edits = words.map(({ start, id }): Edit => {
    return { start, end: start + 'default'.length, pieces: valueOf(id) };
  });
  if (inserts.every(({ omitted }) => omitted.length === 0)) return edits;
  const places = insertPlaces(tokens);
  if (places.length !== inserts.length) return null;
  for (const [index, insert] of inserts.entries()) {
    const own = insert.omitted.length === 0 ? [] : insertEdits(insert, places[index]!, tokens);
    if (own === null) return null;
    edits.push(...own);
  }
  return edits;
}

function mergeInsert(
  { targetList, values = [] }: MergeWhenClause,
  { columns }: CatalogRelation,
  ids: readonly IdColumn[],
): { readonly insert: MergeInsert; readonly defaulted: MomentDefaults['words'] } {
  const given = columns.slice(0, values.length).map(({ name }) => name);
  const named = targetList?.map(nameOf) ?? given;
  const omitted = ids.filter(({ column }) => !named.includes(column.name));
  const defaulted = ids.flatMap((id) => {
    const cell = values[named.indexOf(id.column.name)];
    return cell !== undefined && 'SetToDefault' in cell
      ? [{ start: cell.SetToDefault.location ?? 0, id }]
      : [];
  });
  return { insert: { omitted, given: targetList === undefined ? given : null }, defaulted };
}

/** The tokens INSERT of the actions of a MERGE. */
function insertPlaces(tokens: Tokens): number[] {
  const places: number[] = [];
  for (let at = 1; at < tokens.count; at++) {
    if (tokens.is(at, 'insert') && tokens.is(at - 1, 'then')) places.push(at);
  }
  return places;
}

/** `INSERT (a) VALUES (1)` -> `INSERT (at, a) VALUES ('...', 1)`; null: it cannot be found. */
function insertEdits({ omitted, given }: MergeInsert, at: number, tokens: Tokens): Edit[] | null {
  const names = omitted.map(({ column }) => quoteIdentifier(column.name));
  const pieces = omitted.flatMap((id) => [...valueOf(id), ', ']);
  if (tokens.is(at + 1, 'default') && tokens.is(at + 2, 'values')) {
    const all = [`(${names.join(', ')}) VALUES (`, ...pieces.slice(0, -1), ')'];
    return [{ start: tokens.start(at + 1), end: tokens.end(at + 2), pieces: all }];
  }
  const lists = given === null && tokens.is(at + 1, '(');
  let values = lists ? tokens.closing(at + 1) + 1 : at + 1;
  while (values > 0 && values < tokens.count && !tokens.is(values, 'values')) values++;
  if (lists !== (given === null) || !tokens.is(values + 1, '(')) return null;
  const place = tokens.end(lists ? at + 1 : at);
  const list = lists
    ? `${names.join(', ')}, `
    : ` (${[...names, ...given!.map(quoteIdentifier)].join(', ')}) `;
  const first = tokens.end(values + 1);
  return [
    { start: place, end: place, pieces: [list] },
    { start: first, end: first, pieces },
  ];
}

function nameOf(target: Node): string {
  return 'ResTarget' in target ? (target.ResTarget.name ?? '') : '';
}

function isDefaulted(target: Node): boolean {
  return defaultOf(target) !== null;
}

/** Where the DEFAULT of `column = DEFAULT` stands, or of its place in `(a, b) = (DEFAULT, 1)`; null: it is none. */
function defaultOf(target: Node): number | null {
  let cell = 'ResTarget' in target ? target.ResTarget.val : undefined;
  if (cell !== undefined && 'MultiAssignRef' in cell) {
    const { source, colno = 1 } = cell.MultiAssignRef;
    cell =
      source !== undefined && 'RowExpr' in source ? source.RowExpr.args?.[colno - 1] : undefined;
  }
  return cell !== undefined && 'SetToDefault' in cell ? (cell.SetToDefault.location ?? 0) : null;
}

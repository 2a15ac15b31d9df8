import { keyColumnMapper, keyPartsOf } from '../keyspace/key-columns.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { reachable, typeFamily, type KeyValue, type KeyValues, type Variable } from './model.js';
import type { ShardedOccurrence } from './placement.js';
import type { ColumnTerm, KeyTerm } from './plan.js';

/**
 * The values that a table's shard key is bound to, or its first columns where these tell shards, as
 * terms of a plan: the shortest list there is. Null where it is not bound, or only to values that
 * cannot be mapped.
 */
export function keyTerms(occurrence: ShardedOccurrence, analysis: Analysis): KeyTerm[] | null {
  const columns = boundColumns(occurrence, analysis);
  if (columns.length === 0) return null;
  const parts = keyPartsOf(occurrence.table);
  if (parts === null) return columns[0]!;
  const whole = columns.length === occurrence.table.keyColumns.length;
  // What is inserted must have a whole key.
  const tells = parts.eachSpan !== null && !occurrence.entry.level.inserts;
  return whole || tells ? [{ columns, parts, whole }] : null;
}

/** What the columns of a key are bound to, up to the first one that is bound to nothing. */
function boundColumns(occurrence: ShardedOccurrence, analysis: Analysis): ColumnTerm[][] {
  const columns: ColumnTerm[][] = [];
  for (const [place, key] of (analysis.keysOf(occurrence) ?? []).entries()) {
    const terms = columnTerms(place, key, occurrence, analysis);
    if (terms === null) break;
    columns.push(terms);
  }
  return columns;
}

function columnTerms(
  place: number,
  key: Variable,
  occurrence: ShardedOccurrence,
  analysis: Analysis,
): ColumnTerm[] | null {
  let best: ColumnTerm[] | null = null;
  for (const variable of reachable(key)) {
    for (const binding of variable.bindings) {
      if (best !== null && best.length <= binding.values.length) continue;
      best = termsOf(binding, place, key, occurrence, analysis) ?? best;
    }
  }
  return best;
}

function termsOf(
  binding: KeyValues,
  place: number,
  key: Variable,
  occurrence: ShardedOccurrence,
  analysis: Analysis,
): ColumnTerm[] | null {
  const terms: ColumnTerm[] = [];
  for (const value of binding.values) {
    const inputType = inputTypeOf(value, binding.site, analysis);
    if (inputType === null) return null;
    const own =
      inputType === TypeOid.unknown && binding.site !== key ? binding.site.type : inputType;
    if (binding.stored === true && !keepsStored(own, key.type)) return null;
    const term = columnTerm(place, value, own, occurrence, binding.stored === true);
    if (term === null) return null;
    terms.push(term);
  }
  return terms;
}

/**
 * The term of a key that is stored: a value for each column, constant or parameter; null where the
 * proxy cannot read or map one of them.
 */
export function storedTerm(
  values: readonly (KeyValue | null)[],
  occurrence: ShardedOccurrence,
  analysis: Analysis,
): KeyTerm | null {
  const keys = analysis.keysOf(occurrence)!;
  const terms: ColumnTerm[] = [];
  for (const [place, value] of values.entries()) {
    const inputType = value === null ? null : inputTypeOf(value, keys[place]!, analysis);
    if (value === null || inputType === null) return null;
    const term = columnTerm(place, value, inputType, occurrence, true);
    if (term === null) return null;
    terms.push(term);
  }
  const parts = keyPartsOf(occurrence.table);
  if (parts === null) return terms[0]!;
  return { columns: terms.map((term) => [term]), parts, whole: true };
}

/**
 * One term for a value of the key's column at a place, whose input type is known; null where the
 * vindex cannot map it.
 */
function columnTerm(
  place: number,
  value: KeyValue,
  inputType: number,
  occurrence: ShardedOccurrence,
  stored: boolean,
): ColumnTerm | null {
  const { table, relation } = occurrence;
  const name = table.keyColumns[place]!;
  const column = relation.columns.find((candidate) => candidate.name === name)!;
  const mapper = keyColumnMapper(table, place, column.type, inputType, column.typmod);
  if (mapper === null) return null;
  return {
    source: value.source,
    mapper,
    inputType,
    columnType: column.type,
    column: `${table.name}.${name}`,
    table,
    ...(stored ? { stored } : {}),
  };
}

/** The terms of a key's columns, one after the other. */
export function columnsOfTerm(term: KeyTerm): readonly ColumnTerm[] {
  return term.columns === undefined ? [term] : term.columns.flat();
}

/** Whether it stands for keys, not for their beginnings. */
export function isWhole(term: KeyTerm): boolean {
  return term.columns === undefined || term.whole;
}

/** Whether it is one key, whatever the values are. */
export function isOneTerm(term: KeyTerm): boolean {
  return isWhole(term) && isOneValue(term);
}

/** Whether it has one value for each of its columns. */
export function isOneValue(term: KeyTerm): boolean {
  if (term.columns?.some((values) => values.length !== 1) === true) return false;
  return columnsOfTerm(term).every(({ source }) => source.kind !== 'paramArray');
}

/**
 * The type that a value arrives in beside `site`; `unknown` stands for the site's own. Null: cannot
 * be told.
 */
export function inputTypeOf(value: KeyValue, site: Variable, analysis: Analysis): number | null {
  const { source } = value;
  if (source.kind === 'param' || source.kind === 'paramArray') {
    const array = source.kind === 'paramArray';
    return analysis.params.inputType(source.index, value.type, site.type, array);
  }
  return value.type;
}

function keepsStored(inputType: number, columnType: number): boolean {
  return inputType === TypeOid.unknown || typeFamily(inputType) === typeFamily(columnType);
}

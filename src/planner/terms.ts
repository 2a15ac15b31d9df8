import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { reachable, typeFamily, type KeyValue, type KeyValues, type Variable } from './model.js';
import type { ShardedOccurrence } from './placement.js';
import type { KeyTerm } from './plan.js';

/**
 * The values that a table's shard key is bound to, as terms of a plan: the shortest list there is.
 * Null where the key is not bound, or only to values that cannot be mapped.
 */
export function keyTerms(occurrence: ShardedOccurrence, analysis: Analysis): KeyTerm[] | null {
  const key = analysis.keyOf(occurrence);
  if (key === null) return null;
  let best: KeyTerm[] | null = null;
  for (const variable of reachable(key)) {
    for (const binding of variable.bindings) {
      if (best !== null && best.length <= binding.values.length) continue;
      best = termsOf(binding, key, occurrence, analysis) ?? best;
    }
  }
  return best;
}

function termsOf(
  binding: KeyValues,
  key: Variable,
  occurrence: ShardedOccurrence,
  analysis: Analysis,
): KeyTerm[] | null {
  const terms: KeyTerm[] = [];
  for (const value of binding.values) {
    const inputType = inputTypeOf(value, binding.site, analysis);
    if (inputType === null) return null;
    const own =
      inputType === TypeOid.unknown && binding.site !== key ? binding.site.type : inputType;
    if (binding.stored === true && !keepsStored(own, key.type)) return null;
    const term = keyTerm(value, own, occurrence, binding.stored === true);
    if (term === null) return null;
    terms.push(term);
  }
  return terms;
}

/** One term for a value whose input type is known; null where the vindex cannot map it. */
export function keyTerm(
  value: KeyValue,
  inputType: number,
  occurrence: ShardedOccurrence,
  stored: boolean,
): KeyTerm | null {
  const { table, relation } = occurrence;
  const column = relation.columns.find((candidate) => candidate.name === table.shardKey)!;
  const mapper = table.vindex.mapper(column.type, inputType, column.typmod ?? -1);
  if (mapper === null) return null;
  return {
    source: value.source,
    mapper,
    inputType,
    columnType: column.type,
    column: `${table.name}.${table.shardKey}`,
    ...(stored ? { stored } : {}),
  };
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

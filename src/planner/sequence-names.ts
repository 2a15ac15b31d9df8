import type { A_Const, FuncCall, Node } from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import { constOf, qualifiedName } from './ast.js';
import type { Names } from './names.js';
import type { TextConstants } from './values.js';

/** A name as regclass input reads it. */
export interface SequencePath {
  readonly schema: string | null;
  readonly name: string;
}

/**
 * The sequence that the first argument of nextval, currval or setval names: a constant, or
 * pg_get_serial_sequence of constants. Null: not known before it runs.
 */
export function sequenceArgument(
  call: FuncCall,
  constants: TextConstants,
  names: Names,
): SequencePath | null {
  const argument = withoutCasts(call.args?.[0]);
  if (argument !== null && 'FuncCall' in argument) {
    return serialSequence(argument.FuncCall, constants, names);
  }
  const text = textOf(argument, constants);
  return text === null ? null : regclassName(text);
}

/** The relation of that name; null where there is none. */
export function findSequence({ schema, name }: SequencePath, names: Names): CatalogRelation | null {
  const relation = names.find(schema, name);
  return relation?.kind === 'S' ? relation : null;
}

function serialSequence(
  call: FuncCall,
  constants: TextConstants,
  names: Names,
): SequencePath | null {
  const { schema, name } = qualifiedName(call.funcname);
  if (name !== 'pg_get_serial_sequence' || (schema !== null && schema !== 'pg_catalog'))
    return null;
  const [table, column] = (call.args ?? []).map((node) => textOf(withoutCasts(node), constants));
  if (typeof table !== 'string' || typeof column !== 'string') return null;
  const path = regclassName(table);
  const relation = names.find(path.schema, path.name);
  const sequence = relation?.columns.find((candidate) => candidate.name === column)?.sequence;
  const found = sequence === undefined ? undefined : names.catalog.relations.get(sequence);
  if (relation === null || found?.owner !== `${relation.schema}.${relation.name}`) return null;
  return { schema: found.schema, name: found.name };
}

export function withoutCasts(node: Node | undefined): Node | null {
  if (node === undefined) return null;
  return 'TypeCast' in node ? withoutCasts(node.TypeCast.arg) : node;
}

function textOf(node: Node | null, constants: TextConstants): string | null {
  const constant: A_Const | null = node === null ? null : constOf(node);
  return constant?.sval === undefined ? null : constants.pinned(constant);
}

/** The sequence that a regclass is the text of; null: there is none. */
export function sequenceNamed(text: string, names: Names): CatalogRelation | null {
  return findSequence(regclassName(text), names);
}

/** Splits `schema."Name"` as regclass input does; unquoted parts fold to lower case. */
function regclassName(text: string): SequencePath {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^".\s]+))\s*(\.|$)/y;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) break;
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2]!.toLowerCase());
    if (match[3] === '') break;
  }
  return { schema: parts.length > 1 ? parts.at(-2)! : null, name: parts.at(-1) ?? text };
}

import type { Node } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { contains, qualifiedName } from './ast.js';
import type { Occurrence } from './model.js';
import { refuse } from './refusals.js';

/**
 * Throws Refused where parts of a statement that run on the shards of its target's rows take values of a sequence that
 * another server counts: a shard would count one of its own.
 */
export function refuseCounting(
  parts: unknown,
  target: Occurrence,
  { occurrences }: Analysis,
): void {
  const counted = occurrences.find(
    ({ relation, table }) => relation.kind === 'S' && table?.keyspace !== target.table?.keyspace,
  );
  if (counted !== undefined && contains(parts, 'FuncCall', takesValue)) refuseValues(counted);
}

/** Refuses values of this sequence on other servers than the one that counts. */
export function refuseValues({ relation }: Occurrence): never {
  return refuse(
    `values of sequence "${relation.name}" for rows that are changed on other shards are not supported`,
    'Take the values first, and give them as parameters.',
  );
}

function takesValue(node: Node): boolean {
  const { name } = qualifiedName('FuncCall' in node ? node.FuncCall.funcname : undefined);
  return name === 'nextval' || name === 'setval';
}

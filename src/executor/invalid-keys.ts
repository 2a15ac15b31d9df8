import type { SqlError } from '../errors/sql-error.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { ColumnTerm } from '../planner/plan.js';
import { literalValue } from '../sql/literal-value.js';
import { inputError } from '../vindex/input-errors.js';
import type { ValueSource } from './shard-targets.js';
import { characterCount } from '../sql/code-points.js';

/** What Postgres says of a value to be stored that the term's mapper found INVALID. */
export function invalidKeyError(term: ColumnTerm, source: ValueSource): SqlError {
  const { source: from, inputType, columnType } = term;
  const type = inputType === TypeOid.unknown ? columnType : inputType;
  const value = { type, binary: false, parameter: 0, position: undefined };
  if (from.kind === 'param' && source.bind !== null) {
    const { bind, layout } = source;
    const start = layout.valueStart[from.index] ?? 0;
    const end = layout.valueEnd[from.index] ?? 0;
    const binary = layout.isBinary(bind, from.index);
    return inputError({ ...value, bytes: bind, start, end, binary, parameter: from.index + 1 });
  }
  if (from.kind === 'literal') {
    const { text, textStart, literals } = source;
    const found = { bytes: text, start: 0, end: 0 };
    literalValue(text, textStart, literals, from.index, from.negative, found);
    const end = textStart + literals.starts[from.index]!;
    const position = characterCount(text, textStart, end) + 1;
    return inputError({ ...value, ...found, position });
  }
  const bytes = from.kind === 'constant' && from.bytes !== null ? from.bytes : new Uint8Array(0);
  return inputError({ ...value, bytes, start: 0, end: bytes.length });
}

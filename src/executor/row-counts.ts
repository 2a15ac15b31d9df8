import { sqlError } from '../errors/sql-error.js';
import type { RowCount } from '../planner/plan.js';
import type { BindParts } from './bind-parts.js';

/** The rows that a LIMIT lets through; null: all. Throws SqlError 2201W where it is negative. */
export function limitOf(count: RowCount | null, bind: BindParts): bigint | null {
  const value = valueOf(count, bind);
  if (value === null || value >= 0n) return value;
  throw sqlError('invalid_row_count_in_limit_clause', 'LIMIT must not be negative');
}

/** The rows that an OFFSET leaves out. Throws SqlError 2201X where it is negative. */
export function offsetOf(count: RowCount | null, bind: BindParts): bigint {
  const value = valueOf(count, bind) ?? 0n;
  if (value >= 0n) return value;
  throw sqlError('invalid_row_count_in_result_offset_clause', 'OFFSET must not be negative');
}

function valueOf(count: RowCount | null, bind: BindParts): bigint | null {
  if (count === null) return null;
  if (count.kind === 'constant') return count.value;
  const value = bind.value(count.index);
  if (value === null) return null;
  const { bytes, binary } = value;
  if (binary) {
    // The client may have said that its parameter is a smaller integer.
    if (bytes.length === 8) return bytes.readBigInt64BE();
    if (bytes.length === 4) return BigInt(bytes.readInt32BE());
    if (bytes.length === 2) return BigInt(bytes.readInt16BE());
    throw sqlError(
      'invalid_binary_representation',
      `incorrect binary data format in bind parameter ${count.index + 1}`,
    );
  }
  return bigintOf(bytes.toString('utf8'));
}

/** A bigint as PostgreSQL reads its text (int8in). Throws SqlError 22P02 and 22003. */
function bigintOf(text: string): bigint {
  const parts = INTEGER.exec(text);
  if (parts === null) {
    throw sqlError(
      'invalid_text_representation',
      `invalid input syntax for type bigint: "${text}"`,
    );
  }
  const size = BigInt(parts[2]!.replaceAll('_', ''));
  const value = parts[1] === '-' ? -size : size;
  if (BigInt.asIntN(64, value) === value) return value;
  throw sqlError('numeric_value_out_of_range', `value "${text}" is out of range for type bigint`);
}

/** Sign, and digits in any of four bases; underscores between them; blanks as C's isspace has them. */
const INTEGER =
  /^[ \t\n\v\f\r]*([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|\d(?:_?\d)*)[ \t\n\v\f\r]*$/;

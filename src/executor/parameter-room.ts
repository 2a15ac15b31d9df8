import { sqlError, type SqlError } from '../errors/sql-error.js';
import { readUint16 } from '../protocol/framing.js';

/** PostgreSQL 18, Frontend/Backend Protocol: their number is an Int16, without sign. */
export const PARAMETERS_MAX = 65_535;
/** Inputs that travel as parameters have one a column: as many as a query may have (MaxTupleAttributeNumber). */
const ADDED_MAX = 1664;

/** Throws SqlError 54000 where a Bind message, from behind the statement's name, leaves no room for inputs. */
export function assertRoomForInputs(bind: Buffer | null): void {
  if (bind === null) return;
  const count = readUint16(bind, 2 + 2 * readUint16(bind, 0));
  if (count + ADDED_MAX > PARAMETERS_MAX) throw tooManyParameters('statement');
}

/** @param what the statement that got parameters beside its own */
export function tooManyParameters(what: string): SqlError {
  return sqlError(
    'program_limit_exceeded',
    `the values that Shardgate adds to this ${what} make more than ${PARAMETERS_MAX} parameters`,
    { hint: what === 'INSERT' ? 'Insert fewer rows at a time.' : 'Give an array in their place.' },
  );
}

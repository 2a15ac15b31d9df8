import { TypeOid } from '../keyspace/type-oids.js';
import { typeFamily } from './model.js';

const INT8 = TypeOid.int8;

/**
 * Element type by array type OID (PostgreSQL 18, pg_type.dat), for the types that can be shard
 * keys.
 */
const elementTypes: ReadonlyMap<number, number> = new Map([
  [1000, TypeOid.bool],
  [1001, TypeOid.bytea],
  [1005, TypeOid.int2],
  [1007, TypeOid.int4],
  [1016, TypeOid.int8],
  [1009, TypeOid.text],
  [1015, TypeOid.varchar],
  [1115, TypeOid.timestamp],
  [1182, TypeOid.date],
  [1185, TypeOid.timestamptz],
  [1231, TypeOid.numeric],
  [2951, TypeOid.uuid],
]);

/** How a use of a parameter fixes its type; `undetermined` where the planner cannot tell. */
export type ParamHint =
  { readonly kind: 'scalar' | 'array'; readonly type: number } | { readonly kind: 'undetermined' };

export const UNDETERMINED: ParamHint = { kind: 'undetermined' };

/**
 * What is known of the types of `$n`. PostgreSQL gives an untyped parameter the type of its first
 * use, in an order that is not the text's; so a parameter that is used in several ways is only
 * believed where all uses agree.
 */
export class Params {
  /** Highest `$n` used. */
  count = 0;
  readonly #given: readonly number[];
  readonly #hints = new Map<number, Set<string>>();

  /**
   * @param given type OIDs from Parse by 0-based parameter; 0 or missing: not given
   * @param outer of the statement that this one was made of, whose uses count too
   */
  constructor(given: readonly number[], outer: Params | null = null) {
    this.#given = given;
    if (outer === null) return;
    this.count = outer.count;
    for (const [index, hints] of outer.#hints) this.#hints.set(index, new Set(hints));
  }

  note(index: number, hint: ParamHint): void {
    this.count = Math.max(this.count, index + 1);
    const hints = this.#hints.get(index) ?? new Set();
    hints.add(keyOf(hint));
    this.#hints.set(index, hints);
  }

  /**
   * The type in which parameter `index` arrives where it is compared with a column of `columnType`,
   * `castType` around it (0: none); `unknown` stands for the column's own type. Null: it cannot be
   * told.
   */
  inputType(index: number, castType: number, columnType: number, array: boolean): number | null {
    const given = this.#given[index] ?? 0;
    if (given === 0 || given === TypeOid.unknown) {
      const hints = this.#hints.get(index);
      const expected = castType === 0 ? columnType : castType;
      const key = keyOf({ kind: array ? 'array' : 'scalar', type: expected });
      if (hints?.size !== 1 || !hints.has(key)) return null;
      return castType === 0 ? TypeOid.unknown : castType;
    }
    const type = array ? elementTypes.get(given) : given;
    if (type === undefined) return null;
    return castType === 0 || keepsValue(type, castType) ? type : null;
  }
}

/** Whether a cast from one type to another leaves the value as it is or fails. */
export function keepsValue(from: number, to: number): boolean {
  const source = typeFamily(from);
  return source === typeFamily(to) || (source === INT8 && to === TypeOid.numeric);
}

function keyOf(hint: ParamHint): string {
  if (hint.kind === 'undetermined') return '?';
  // Text and varchar parameters have the same forms; integers of other widths differ in binary.
  return `${hint.kind} ${hint.type === TypeOid.varchar ? TypeOid.text : hint.type}`;
}

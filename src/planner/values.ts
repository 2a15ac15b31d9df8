import type { A_Const } from '@pgsql/types';
import {
  LiteralKind,
  literalTypeOid,
  type LiteralKindCode,
  type Literals,
} from '../sql/literals.js';
import { positionOf } from '../sql/position.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { constText } from './ast.js';
import type { KeyValue } from './model.js';
import type { TextPosition } from './plan.js';

const encoder = new TextEncoder();

/** SQL NULL as a key value: equal to nothing. */
export const NULL_VALUE: KeyValue = {
  source: { kind: 'constant', bytes: null },
  type: TypeOid.unknown,
};

/**
 * Names the constants and byte positions of one text so that they hold for every text of its shape;
 * where the text has no shape, the plan serves this text only and constants are taken as they are.
 */
export class TextConstants {
  readonly #literals: Literals | null;
  /**
   * Literals whose values the plan depends on; comments and others only have their kind in the
   * shape.
   */
  readonly dependsOn = new Set<number>();

  /** `literals` null: the text has no shape. */
  constructor(literals: Literals | null) {
    this.#literals = literals;
  }

  /**
   * A constant as a key value; null where it cannot be one (bit strings) or cannot be found in the
   * text.
   */
  value(constant: A_Const): KeyValue | null {
    if (constant.isnull === true) return NULL_VALUE;
    if (constant.bsval !== undefined) return null;
    const text = constText(constant)!;
    if (constant.boolval !== undefined) return this.#planned(text, TypeOid.bool);
    if (this.#literals === null) return this.#planned(text, plannedType(constant, text));
    const index = this.#find(constant);
    if (index < 0) return null;
    const kind = this.#literals.kinds[index] as LiteralKindCode;
    const negative = text.startsWith('-') && constant.sval === undefined;
    return { source: { kind: 'literal', index, negative }, type: literalTypeOid(kind, negative) };
  }

  /** The value itself, for plans that are made for it: every later text must have the same one. */
  pinned(constant: A_Const): string | null {
    if (this.#literals !== null && constant.isnull !== true && constant.boolval === undefined) {
      const index = this.#literals.atOrAfter(constant.location ?? 0);
      if (index >= 0) this.dependsOn.add(index);
    }
    return constText(constant);
  }

  /** The plan holds text of the statement, and with it the values of all its literals. */
  dependOnAll(): void {
    const literals = this.#literals;
    if (literals === null) return;
    for (let i = 0; i < literals.count; i++) {
      if (literals.kinds[i] !== LiteralKind.comment) this.dependsOn.add(i);
    }
  }

  position(offset: number): TextPosition {
    return this.#literals === null
      ? { literal: -1, delta: offset }
      : positionOf(offset, this.#literals);
  }

  #find(constant: A_Const): number {
    const literals = this.#literals!;
    const index = literals.atOrAfter(constant.location ?? 0);
    if (index < 0) return -1;
    const kind = literals.kinds[index] as LiteralKindCode;
    const isString =
      kind === LiteralKind.string ||
      kind === LiteralKind.escapeString ||
      kind === LiteralKind.unicodeString ||
      kind === LiteralKind.dollarString;
    const isBits = kind === LiteralKind.bitString || kind === LiteralKind.hexString;
    return !isBits && isString === (constant.sval !== undefined) ? index : -1;
  }

  #planned(text: string, type: number): KeyValue {
    return { source: { kind: 'constant', bytes: encoder.encode(text) }, type };
  }
}

const INT8_MAX = 9223372036854775807n;
const INT8_MIN = -9223372036854775808n;

/**
 * PostgreSQL 18, parse_node.c make_const: an integer has the smallest of int4, int8 and numeric
 * that holds it.
 */
function plannedType(constant: A_Const, text: string): number {
  if (constant.sval !== undefined) return TypeOid.unknown;
  if (constant.ival !== undefined) return TypeOid.int4;
  const negative = text.startsWith('-');
  const digits = text.slice(negative ? 1 : 0).replaceAll('_', '');
  if (!/^(\d+|0x[\da-f]+|0o[0-7]+|0b[01]+)$/i.test(digits)) return TypeOid.numeric;
  return BigInt(digits) <= (negative ? -INT8_MIN : INT8_MAX) ? TypeOid.int8 : TypeOid.numeric;
}

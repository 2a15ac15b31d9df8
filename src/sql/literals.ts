/**
 * Kinds of literal spans. The number is also the marker byte that stands for the literal in a shape, so none of them
 * is a white-space byte, and a text that holds one of these bytes verbatim is never cached.
 */
export const LiteralKind = {
  /** Integer that fits int4. */
  int4: 1,
  /** Integer that fits int8 only. */
  int8: 2,
  /** Integer beyond int8: numeric. */
  bigInteger: 3,
  /** Number with a decimal point or an exponent: numeric. */
  decimal: 4,
  /** `'x'` with doubled quotes, possibly continued on further lines. */
  string: 5,
  /** `E'x'`. */
  escapeString: 6,
  /** `U&'x'`, a following `UESCAPE 'c'` included. */
  unicodeString: 7,
  /** `$tag$x$tag$`. */
  dollarString: 8,
  /** `B'01'`. */
  bitString: 14,
  /** `X'1F'`. */
  hexString: 15,
  /** A comment: no value, but tracing comments must not make every text a shape of its own. */
  comment: 16,
  /** 2147483648: int8, yet int4 behind a minus sign (PostgreSQL 18, parse_node.c make_const). */
  int4Edge: 17,
  /** 9223372036854775808: numeric, yet int8 behind a minus sign. */
  int8Edge: 18,
} as const;

export type LiteralKindCode = (typeof LiteralKind)[keyof typeof LiteralKind];

const INITIAL_CAPACITY = 64;
/** A large INSERT must not pin its arrays for the life of the session: 64 Ki spans = 576 kB. */
const RETAINED_CAPACITY = 65_536;

/**
 * The literal spans of one text in ascending order; reused from text to text. Offsets are bytes from the start of the
 * text; a string's span includes its prefix and quotes. The arrays are replaced when they grow: read them from here
 * each time.
 */
export class Literals {
  count = 0;
  /** False: the scanner met bytes that PostgreSQL's own lexer refuses, and the spans end there. */
  complete = true;
  starts = new Int32Array(INITIAL_CAPACITY);
  ends = new Int32Array(INITIAL_CAPACITY);
  kinds = new Uint8Array(INITIAL_CAPACITY);

  reset(): void {
    this.count = 0;
    this.complete = true;
    if (this.starts.length > RETAINED_CAPACITY) this.#resize(INITIAL_CAPACITY);
  }

  push(kind: LiteralKindCode, start: number, end: number): void {
    const index = this.count;
    if (index === this.starts.length) this.#resize(index * 2);
    this.starts[index] = start;
    this.ends[index] = end;
    this.kinds[index] = kind;
    this.count = index + 1;
  }

  /** The same spans, kept while this object goes on to other texts. */
  copy(): Literals {
    const copy = new Literals();
    for (let i = 0; i < this.count; i++) {
      copy.push(this.kinds[i]! as LiteralKindCode, this.starts[i]!, this.ends[i]!);
    }
    copy.complete = this.complete;
    return copy;
  }

  /**
   * The first literal that starts at or behind `offset`, comments skipped; -1 where there is none. A negated
   * constant's location in the parse tree is its minus sign, so the literal itself is found this way.
   */
  atOrAfter(offset: number): number {
    let index = this.firstAtOrAfter(offset);
    while (index < this.count && this.kinds[index] === LiteralKind.comment) index++;
    return index < this.count ? index : -1;
  }

  /** Number of spans (comments included) that start before `offset`. */
  firstAtOrAfter(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.starts[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #resize(capacity: number): void {
    const kept = Math.min(this.count, capacity);
    const starts = new Int32Array(capacity);
    const ends = new Int32Array(capacity);
    const kinds = new Uint8Array(capacity);
    starts.set(this.starts.subarray(0, kept));
    ends.set(this.ends.subarray(0, kept));
    kinds.set(this.kinds.subarray(0, kept));
    this.starts = starts;
    this.ends = ends;
    this.kinds = kinds;
  }
}

/** Type OIDs that the grammar gives to literals (PostgreSQL 18, pg_type.dat). */
const INT8_OID = 20;
const INT4_OID = 23;
const UNKNOWN_OID = 705;
const BIT_OID = 1560;
const NUMERIC_OID = 1700;

const typeOids: Readonly<Record<LiteralKindCode, number>> = {
  [LiteralKind.int4]: INT4_OID,
  [LiteralKind.int8]: INT8_OID,
  [LiteralKind.bigInteger]: NUMERIC_OID,
  [LiteralKind.decimal]: NUMERIC_OID,
  [LiteralKind.string]: UNKNOWN_OID,
  [LiteralKind.escapeString]: UNKNOWN_OID,
  [LiteralKind.unicodeString]: UNKNOWN_OID,
  [LiteralKind.dollarString]: UNKNOWN_OID,
  [LiteralKind.bitString]: BIT_OID,
  [LiteralKind.hexString]: BIT_OID,
  [LiteralKind.comment]: 0,
  [LiteralKind.int4Edge]: INT8_OID,
  [LiteralKind.int8Edge]: NUMERIC_OID,
};

/** The type OID that PostgreSQL gives to a constant of this kind; `negative`: it stands behind a minus sign. */
export function literalTypeOid(kind: LiteralKindCode, negative: boolean): number {
  if (negative && kind === LiteralKind.int4Edge) return INT4_OID;
  if (negative && kind === LiteralKind.int8Edge) return INT8_OID;
  return typeOids[kind];
}

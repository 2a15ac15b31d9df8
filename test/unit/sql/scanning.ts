import { LiteralKind, Literals, type LiteralKindCode } from '../../../src/sql/literals.js';
import { literalValue, type LiteralText } from '../../../src/sql/literal-value.js';
import { scanShape } from '../../../src/sql/scanner.js';

/** One text scanned, with its literals as readable values. */
export interface Scanned {
  readonly shape: string | null;
  readonly literals: Literals;
  /** `kind text`, one a literal. */
  readonly spans: readonly string[];
  /** Decoded values; null where there is none. */
  readonly values: readonly (string | null)[];
}

const PREFIX = "x'";
const SUFFIX = "'/*";

/** Scans the text in the middle of a buffer whose other bytes would mislead a scanner that looks at them. */
export function scan(sql: string | Uint8Array): Scanned {
  const text = Buffer.from(sql as string);
  const bytes = Buffer.concat([Buffer.from(PREFIX), text, Buffer.from(SUFFIX)]);
  const start = PREFIX.length;
  const literals = new Literals();
  const shape = scanShape(bytes, start, start + text.length, literals);
  const spans: string[] = [];
  const values: (string | null)[] = [];
  for (let i = 0; i < literals.count; i++) {
    const span = text.subarray(literals.starts[i], literals.ends[i]).toString();
    spans.push(`${kindName(literals.kinds[i]!)} ${span}`);
    const out: LiteralText = { bytes, start: 0, end: 0 };
    const found = literalValue(bytes, start, literals, i, false, out);
    values.push(found ? Buffer.from(out.bytes.subarray(out.start, out.end)).toString() : null);
  }
  return { shape, literals, spans, values };
}

export function kindName(kind: number): string {
  return Object.entries(LiteralKind).find(([, code]) => code === kind)?.[0] ?? `kind ${kind}`;
}

/** The shape with its markers made readable: `SELECT <int4>`. */
export function readable(shape: string | null): string | null {
  const codes = Object.values(LiteralKind) as LiteralKindCode[];
  return (
    shape?.replace(/[^ -~\s\u0080-\u00ff]/g, (marker) => {
      const kind = codes.find((code) => code === marker.charCodeAt(0));
      return kind === undefined ? marker : `<${kindName(kind)}>`;
    }) ?? null
  );
}

import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAPPED, type MapOutcome } from '../keyspace/vindex.js';
import type { DecimalCell } from './values/decimal.js';

/** Takes two's complement halves, which may be those of `out`. */
export type Int64Sink = (hi: number, lo: number, out: KeyspaceIdCell) => MapOutcome;
export type BytesSink = (
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
) => MapOutcome;
/** Takes a cell that the next value overwrites. */
export type DecimalSink = (value: DecimalCell, out: KeyspaceIdCell) => MapOutcome;

/** What a vindex makes of the values of each family of column types; those left out are refused. */
export interface KeySinks {
  /** smallint, integer and bigint: equal numbers are equal keys. */
  readonly int?: Int64Sink;
  readonly numeric?: DecimalSink;
  /** text and varchar, in UTF-8. */
  readonly text?: BytesSink;
  readonly bytea?: BytesSink;
  readonly uuid?: BytesSink;
  /** Days since 2000-01-01, sign-extended; the extremes are the infinities. */
  readonly date?: Int64Sink;
  /** Microseconds since 2000-01-01; the extremes are the infinities. */
  readonly timestamp?: Int64Sink;
  /** The same in UTC. */
  readonly timestamptz?: Int64Sink;
  /** 0 or 1. */
  readonly bool?: Int64Sink;
}

export type KeyFamily = keyof KeySinks;

/** The same sinks for some families, each followed by a step that maps what it wrote to the cell once more. */
export function followedBy(
  sinks: KeySinks,
  families: readonly KeyFamily[],
  step: (out: KeyspaceIdCell) => MapOutcome,
): KeySinks {
  const ofInt64 = (sink?: Int64Sink): Int64Sink | undefined =>
    sink &&
    ((hi, lo, out) => {
      const outcome = sink(hi, lo, out);
      return outcome === MAPPED ? step(out) : outcome;
    });
  const ofBytes = (sink?: BytesSink): BytesSink | undefined =>
    sink &&
    ((bytes, start, end, out) => {
      const outcome = sink(bytes, start, end, out);
      return outcome === MAPPED ? step(out) : outcome;
    });
  const ofDecimal = (sink?: DecimalSink): DecimalSink | undefined =>
    sink &&
    ((value, out) => {
      const outcome = sink(value, out);
      return outcome === MAPPED ? step(out) : outcome;
    });
  const all: { readonly [F in KeyFamily]: KeySinks[F] | undefined } = {
    int: ofInt64(sinks.int),
    numeric: ofDecimal(sinks.numeric),
    text: ofBytes(sinks.text),
    bytea: ofBytes(sinks.bytea),
    uuid: ofBytes(sinks.uuid),
    date: ofInt64(sinks.date),
    timestamp: ofInt64(sinks.timestamp),
    timestamptz: ofInt64(sinks.timestamptz),
    bool: ofInt64(sinks.bool),
  };
  return Object.fromEntries(families.map((family) => [family, all[family]]));
}

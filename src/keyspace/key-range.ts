import { compareKeyspaceIds, type KeyspaceId } from './keyspace-id.js';

/** Keyspace ids from `from` up to, not including, `to`; `to` null: up to the end of the space. */
export interface KeyRange {
  readonly from: KeyspaceId;
  readonly to: KeyspaceId | null;
}

/**
 * Reads a key range as Vitess writes it: `-40`, `40-80`, `c0-`, `-`. A bound is hex, left-aligned: `40` is
 * 0x4000000000000000. Null where the text is no key range or the range is empty.
 */
export function parseKeyRange(text: string): KeyRange | null {
  const match = /^([0-9a-fA-F]{0,16})-([0-9a-fA-F]{0,16})$/.exec(text.trim());
  if (match === null) return null;
  const from = parseBound(match[1] ?? '');
  const to = match[2] === '' ? null : parseBound(match[2] ?? '');
  if (to !== null && compareKeyspaceIds(from, to) >= 0) return null;
  return { from, to };
}

export function formatKeyRange(range: KeyRange): string {
  const start = range.from.hi === 0 && range.from.lo === 0 ? '' : formatBound(range.from);
  return `${start}-${range.to === null ? '' : formatBound(range.to)}`;
}

export function parseBound(hex: string): KeyspaceId {
  const padded = hex.padEnd(16, '0');
  return { hi: Number.parseInt(padded.slice(0, 8), 16), lo: Number.parseInt(padded.slice(8), 16) };
}

function formatBound(id: KeyspaceId): string {
  const hex = id.hi.toString(16).padStart(8, '0') + id.lo.toString(16).padStart(8, '0');
  const trimmed = hex.replace(/0+$/, '');
  return trimmed.length % 2 === 0 ? trimmed : `${trimmed}0`;
}

import { KeyspaceIdCell } from '../../../src/keyspace/keyspace-id.js';
import {
  ASK,
  INVALID,
  MAPPED,
  NO_MATCH,
  NO_SHARD,
  UNREADABLE,
  type KeyMapper,
  type MapOutcome,
} from '../../../src/keyspace/vindex.js';

const names = {
  [MAPPED]: 'mapped',
  [NO_MATCH]: 'no match',
  [INVALID]: 'invalid',
  [UNREADABLE]: 'unreadable',
  [NO_SHARD]: 'no shard',
  [ASK]: 'ask',
} as const;

/** The keyspace id as the signed bigint that SQL shows, or the name of the outcome. */
export function mapBytes(
  mapper: KeyMapper,
  format: 'text' | 'binary',
  value: Uint8Array,
): bigint | string {
  // The value stands in the middle of a message: a mapper that reads beyond it would see the
  // blanks.
  const message = new Uint8Array(value.length + 6).fill(0x20);
  message.set(value, 3);
  const cell = new KeyspaceIdCell();
  const outcome: MapOutcome = mapper[format](message, 3, 3 + value.length, cell);
  if (outcome !== MAPPED) return names[outcome];
  return BigInt.asIntN(64, (BigInt(cell.hi) << 32n) | BigInt(cell.lo));
}

export function mapText(mapper: KeyMapper, text: string): bigint | string {
  return mapBytes(mapper, 'text', Buffer.from(text));
}

export function mapHex(mapper: KeyMapper, hex: string): bigint | string {
  return mapBytes(mapper, 'binary', Buffer.from(hex, 'hex'));
}

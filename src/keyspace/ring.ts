import type { KeyRange } from './key-range.js';

/**
 * Virtual nodes: equal pieces of the ring of keyspace ids. A power of two, so that the bounds of ranges stay short;
 * and fixed, since with another number nearly all of them would move.
 */
const NODE_BITS = 10;
const NODES = 2 ** NODE_BITS;

export interface RingMember {
  readonly name: string;
  /** Greater than 0: its share of the ids is its share of all weights. */
  readonly weight: number;
}

/**
 * The key ranges of each member on a consistent hash ring. They depend on names and weights only, not on the order of
 * members. Each member gets its exact share of the virtual nodes, and first those that it has the best draw for:
 *
 *     draws of node 0:  s2 0.1, s0 0.7, s1 2.9     ->  s2, or s0 where s2 has its share already
 *
 * So a member more takes a share from all others, and little else moves.
 */
export function ringRanges(members: readonly RingMember[]): KeyRange[][] {
  const left = shares(members);
  const draws = members.flatMap(({ name, weight }, member) =>
    Array.from({ length: NODES }, (_unused, node) => ({
      member,
      node,
      draw: -Math.log(fraction(`${name} ${node}`)) / weight,
    })),
  );
  draws.sort(
    (a, b) => a.draw - b.draw || (members[a.member]!.name < members[b.member]!.name ? -1 : 1),
  );
  const owners = new Array<number>(NODES).fill(-1);
  for (const { member, node } of draws) {
    if (owners[node] !== -1 || left[member] === 0) continue;
    owners[node] = member;
    left[member]!--;
  }
  return members.map((_member, index) => rangesOf(owners, index));
}

/** Virtual nodes of each member: its share rounded down, and one more for the largest remainders. */
function shares(members: readonly RingMember[]): number[] {
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const exact = members.map(({ weight }) => (weight / total) * NODES);
  const counts = exact.map((count) => Math.max(1, Math.floor(count)));
  const byRemainder = members
    .map((_member, index) => index)
    .sort(
      (a, b) =>
        exact[b]! - counts[b]! - (exact[a]! - counts[a]!) ||
        (members[a]!.name < members[b]!.name ? -1 : 1),
    );
  let rest = NODES - counts.reduce((sum, count) => sum + count, 0);
  for (let turn = 0; rest > 0; turn++, rest--) counts[byRemainder[turn % members.length]!]!++;
  // Members too light for a node have got one, of the heaviest.
  for (; rest < 0; rest++) counts[counts.indexOf(Math.max(...counts))]!--;
  return counts;
}

/** Neighbouring nodes of one owner are one range. */
function rangesOf(owners: readonly number[], owner: number): KeyRange[] {
  const ranges: KeyRange[] = [];
  for (let node = 0; node < NODES; node++) {
    if (owners[node] !== owner) continue;
    const start = node;
    while (owners[node + 1] === owner) node++;
    ranges.push({ from: bound(start), to: node + 1 === NODES ? null : bound(node + 1) });
  }
  return ranges;
}

function bound(node: number): { hi: number; lo: number } {
  return { hi: (node << (32 - NODE_BITS)) >>> 0, lo: 0 };
}

/** A name as a number in (0, 1]: FNV-1a, then mixed as MurmurHash3 ends. The same everywhere and for ever. */
function fraction(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 1) / 0x100000000;
}

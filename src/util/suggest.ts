/**
 * The known name that a mistyped one most likely means; null where none is near. Near is at most a
 * third of the letters wrong (two for short names), so that `prot` finds `port` and `foo` finds
 * nothing.
 */
export function suggest(typed: string, known: Iterable<string>): string | null {
  // Longer than any known name can be near to; also bounds the work on hostile input.
  if (typed.length > 64) return null;
  const wanted = normalise(typed);
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const name of known) {
    const distance = distanceBetween(wanted, normalise(name));
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  const tolerated = Math.min(3, Math.max(1, Math.floor((wanted.length + 1) / 3)));
  return bestDistance <= tolerated ? best : null;
}

/** `maxClients`, `max-clients` and `max_clients` are one name to people. */
function normalise(name: string): string {
  return name.replace(/[-_ ]/g, '').toLowerCase();
}

/** `warning` means `warn` and `max` means `max_clients`, however many letters they differ by. */
function distanceBetween(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  if (shorter >= 3 && a.slice(0, shorter) === b.slice(0, shorter)) return a === b ? 0 : 1;
  return editDistance(a, b);
}

/**
 * Optimal string alignment: insertions, deletions, replacements and swaps of neighbours each count
 * one.
 */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

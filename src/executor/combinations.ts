/** More combinations of values than this are not looked at one by one. */
const COMBINATIONS_MAX = 10_000;

/**
 * Calls back with every combination of one item of each list, in an array that the next one overwrites. False: there
 * are too many, and none was visited.
 */
export function eachCombination<T>(
  lists: readonly (readonly T[])[],
  visit: (combination: readonly T[]) => void,
): boolean {
  const count = lists.reduce((product, { length }) => product * length, 1);
  if (count > COMBINATIONS_MAX) return false;
  const combination: T[] = [];
  for (let number = 0; number < count; number++) {
    let rest = number;
    lists.forEach((list, place) => {
      combination[place] = list[rest % list.length]!;
      rest = Math.floor(rest / list.length);
    });
    visit(combination);
  }
  return true;
}

/** Where things stand in the text, which says nothing of what they mean. */
const PLACES = /location$|^(rexpr_)?list_(start|end)$|^stmt_len$/;

/** Whether two parse trees, or parts of them, mean the same: equal but for places in their texts. */
export function sameTree(a: unknown, b: unknown): boolean {
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameTree(item, b[index]))
    );
  }
  if (Array.isArray(b)) return false;
  const left = fieldsOf(a);
  if (left.length !== fieldsOf(b).length) return false;
  const other = b as Record<string, unknown>;
  return left.every(([name, value]) => name in other && sameTree(value, other[name]));
}

function fieldsOf(value: object): [string, unknown][] {
  return Object.entries(value).filter(([name, field]) => field !== undefined && !PLACES.test(name));
}

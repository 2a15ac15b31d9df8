/** The search path of a session that has set none. */
const DEFAULT_PATH = '"$user", public';

/**
 * The schemas of a `search_path` value in order, `"$user"` replaced. Follows SplitIdentifierString: quoted names keep
 * their case, others are folded to lower case.
 */
export function parseSearchPath(value: string | undefined, user: string): readonly string[] {
  const path: string[] = [];
  for (const match of (value ?? DEFAULT_PATH).matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)/g)) {
    const name = match[1] === undefined ? match[2]!.toLowerCase() : match[1].replaceAll('""', '"');
    if (name !== '') path.push(name === '$user' ? user : name);
  }
  return path;
}

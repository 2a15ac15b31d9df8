import { isMap, isScalar, parse, type Document, type YAMLMap } from 'yaml';

/** Settings that somebody has changed while the proxy runs, by their place in the file, as `limits.max_clients`. */
export type Overrides = ReadonlyMap<string, string>;

/** The sections whose settings may be changed so: the rest makes sense in one piece only, or at the next start. */
export const CHANGED_SECTIONS = ['limits', 'pool', 'transactions', 'routing', 'log'] as const;

/**
 * Puts the values, written as in the file, in the place of what a parsed file says. False: one of them cannot stand
 * there.
 */
export function override(document: Document, overrides: Overrides): boolean {
  try {
    for (const [key, text] of overrides) put(document, key, parse(text));
    return true;
  } catch {
    // The text is no YAML, or what it changes is no mapping.
    return false;
  }
}

/** Throws where the section is something else than a mapping. */
function put(document: Document, key: string, value: unknown): void {
  const [name = '', inner] = key.split('.');
  const root = mappingOf(document.contents);
  if (inner === undefined) {
    replace(document, root, name, value);
    return;
  }
  const section = root.get(name, true);
  const isEmpty = section === undefined || (isScalar(section) && section.value === null);
  if (isEmpty) replace(document, root, name, { [inner]: value });
  else replace(document, mappingOf(section), inner, value);
}

function mappingOf(node: unknown): YAMLMap {
  if (isMap(node)) return node;
  throw new Error('no mapping');
}

function replace(document: Document, map: YAMLMap, name: string, value: unknown): void {
  map.delete(name);
  map.add(document.createPair(name, value));
}

import { isMap, isScalar, isSeq, type Node } from 'yaml';
import { describe, offsetOf, quoted, type Path, type Reader } from './reader.js';
import { suggest } from '../util/suggest.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * What one value of the file may be: both its reading and its JSON Schema come from here, so they
 * cannot disagree. `read` gets a node that is there (never null) and reports every fault; undefined
 * means it reported.
 */
export interface Spec<T> {
  readonly jsonSchema: JsonSchema;
  read(reader: Reader, node: Node, path: Path): T | undefined;
}

/** One key of a mapping. `fallback` is what an absent or faulty key gives. */
export interface Field<T> {
  readonly spec: Spec<unknown>;
  readonly description: string;
  /** Non-null: the key must be there; this text says what to write. */
  readonly requiredCure: string | null;
  /** As the schema shows it. */
  readonly defaultText: unknown;
  readonly fallback: T;
}

/** A key that must be there; undefined only where a problem was reported. */
export function required<T>(
  spec: Spec<T>,
  description: string,
  cure: string,
): Field<T | undefined> {
  return { spec, description, requiredCure: cure, defaultText: undefined, fallback: undefined };
}

/** A key that may be left out; undefined where it is. */
export function optional<T>(spec: Spec<T>, description: string): Field<T | undefined> {
  return { spec, description, requiredCure: null, defaultText: undefined, fallback: undefined };
}

/**
 * A key with a default. `written` is the default in the file's notation, where that differs (`5s`).
 */
export function defaulted<T>(
  spec: Spec<T>,
  description: string,
  fallback: T,
  written: unknown = fallback,
): Field<T> {
  return { spec, description, requiredCure: null, defaultText: written, fallback };
}

/** A mapping that may be left out, which gives the defaults of its keys. */
export function section<T>(spec: Spec<T> & { readonly empty: T }, description: string): Field<T> {
  const fallback = spec.empty;
  return { spec, description, requiredCure: null, defaultText: undefined, fallback };
}

type Fields = Readonly<Record<string, Field<unknown>>>;
export type ReadObject<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/**
 * A mapping with known keys. Always gives an object: absent and faulty keys have their fallback.
 */
export function object<F extends Fields>(
  fields: F,
): Spec<ReadObject<F>> & { readonly empty: ReadObject<F> } {
  const empty = fallbacks(fields);
  return {
    empty,
    jsonSchema: objectSchema(fields),
    read: (reader, node, path) => readObject(reader, node, path, fields),
  };
}

function readObject<F extends Fields>(
  reader: Reader,
  node: Node,
  path: Path,
  fields: F,
): ReadObject<F> {
  const values: Record<string, unknown> = { ...fallbacks(fields) };
  const seen = new Set<string>();
  const isObject = eachEntry(reader, node, path, (name, keyOffset, value, entryPath) => {
    if (!Object.hasOwn(fields, name)) {
      reportUnknownKey(reader, keyOffset, name, Object.keys(fields));
      return;
    }
    if (value === null) return;
    seen.add(name);
    const read = fields[name]!.spec.read(reader, value, entryPath);
    if (read !== undefined) values[name] = read;
  });
  if (isObject) reportMissing(reader, path, fields, seen);
  return values as ReadObject<F>;
}

function fallbacks<F extends Fields>(fields: F): ReadObject<F> {
  const entries = Object.entries(fields).map(([name, field]) => [name, field.fallback] as const);
  return Object.freeze(Object.fromEntries(entries)) as ReadObject<F>;
}

function objectSchema(fields: Fields): JsonSchema {
  const names = Object.keys(fields);
  const needed = names.filter((name) => fields[name]!.requiredCure !== null);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(names.map((name) => [name, fieldSchema(fields[name]!)])),
    ...(needed.length === 0 ? {} : { required: needed }),
  };
}

function fieldSchema(field: Field<unknown>): JsonSchema {
  const { description, defaultText } = field;
  const shown = defaultText === undefined ? {} : { default: defaultText };
  return { ...field.spec.jsonSchema, description, ...shown };
}

function reportUnknownKey(
  reader: Reader,
  offset: number,
  name: string,
  known: readonly string[],
): void {
  if (name === '<<') {
    const cure = 'write the keys out, or use an alias (*name) for a whole value';
    reader.reportAt(offset, 'merge keys (<<) are not supported', cure);
    return;
  }
  const colon = name.indexOf(':');
  if (colon !== -1) {
    // `{ password:abc }` is one key to YAML; what stands behind the colon may be a secret.
    const shown = quoted(name.slice(0, colon));
    reader.reportAt(offset, `no blank behind the colon of ${shown}`, 'write "key: value"');
    return;
  }
  const meant = suggest(name, known);
  const cure =
    meant === null ? `the keys here are ${known.join(', ')}` : `did you mean "${meant}"?`;
  reader.reportAt(offset, `unknown key ${quoted(name)}`, cure);
}

function reportMissing(reader: Reader, path: Path, fields: Fields, seen: Set<string>): void {
  for (const [name, field] of Object.entries(fields)) {
    if (field.requiredCure === null || seen.has(name)) continue;
    reader.report(path, `"${name}" is missing`, field.requiredCure);
  }
}

/**
 * A mapping with names that people choose. In the order of the file; a value left empty is read as
 * `{}` by objects.
 */
export function record<T>(
  what: string,
  namePattern: string,
  spec: Spec<T>,
  whenEmpty: T | undefined = undefined,
): Spec<ReadonlyMap<string, T>> {
  const value =
    whenEmpty === undefined ? spec.jsonSchema : { anyOf: [spec.jsonSchema, { type: 'null' }] };
  return {
    jsonSchema: {
      type: 'object',
      propertyNames: { pattern: namePattern },
      additionalProperties: value,
    },
    read(reader, node, path) {
      const entries = new Map<string, T>();
      eachEntry(reader, node, path, (name, keyOffset, item, entryPath) => {
        // A problem about `main:` as a whole belongs to the name, not to what stands below it.
        reader.place(entryPath, keyOffset);
        const read = item === null ? whenEmpty : spec.read(reader, item, entryPath);
        reader.place(entryPath, keyOffset);
        if (read !== undefined) entries.set(name, read);
        else if (item === null) {
          const cure = 'write what it holds, or leave it out';
          reader.report(entryPath, `${what} ${quoted(name)} is empty`, cure);
        }
      });
      return entries;
    },
  };
}

/**
 * `whenEmpty` stands in for an empty item, so that the places of the others stay (the item itself
 * is reported); `minItems` is 0 or 1.
 */
export function list<T>(
  what: string,
  spec: Spec<T>,
  { whenEmpty, minItems = 0 }: { readonly whenEmpty?: T; readonly minItems?: 0 | 1 } = {},
): Spec<readonly T[]> {
  return {
    jsonSchema: { type: 'array', items: spec.jsonSchema, ...(minItems > 0 && { minItems }) },
    read(reader, node, path) {
      reader.place(path, offsetOf(node));
      if (!isSeq(node)) {
        reader.report(
          path,
          `expected a list of ${what}, found ${describe(node)}`,
          `write [ ... ] or one "- " a line`,
        );
        return [];
      }
      if (node.items.length < minItems) {
        reader.report(path, `an empty list of ${what}`, 'list at least one');
      }
      const items: T[] = [];
      node.items.forEach((raw, index) => {
        const itemPath = [...path, index];
        const item = reader.resolve(raw);
        if (item === null) {
          reader.report(
            path,
            `item ${index + 1} of the list is empty`,
            `write ${what} there, or drop it`,
          );
          if (whenEmpty !== undefined) items.push(whenEmpty);
          return;
        }
        reader.place(itemPath, offsetOf(item));
        const read = spec.read(reader, item, itemPath);
        if (read !== undefined) items.push(read);
      });
      return items;
    },
  };
}

/** One value, or a list of them. */
export function oneOrMore<T>(what: string, spec: Spec<T>): Spec<readonly T[]> {
  const several = list(what, spec);
  return {
    jsonSchema: { anyOf: [spec.jsonSchema, several.jsonSchema] },
    read(reader, node, path) {
      if (isSeq(node)) return several.read(reader, node, path);
      const one = spec.read(reader, node, path);
      return one === undefined ? undefined : [one];
    },
  };
}

/**
 * Calls back for every key of a mapping, its value resolved; false (and reported) where the node is
 * no mapping.
 */
function eachEntry(
  reader: Reader,
  node: Node,
  path: Path,
  visit: (name: string, keyOffset: number, value: Node | null, path: Path) => void,
): boolean {
  if (!reader.has(path)) reader.place(path, offsetOf(node));
  if (!isMap(node)) {
    const cure = 'write "key: value" lines below it, or { key: value }';
    reader.report(path, `expected a mapping, found ${describe(node)}`, cure);
    return false;
  }
  for (const pair of node.items) {
    const key = pair.key as Node | null;
    const offset = key === null ? offsetOf(node) : offsetOf(key);
    const name = isScalar(key) ? (key.source ?? String(key.value)) : null;
    if (name === null || name === '') {
      reader.reportAt(offset, 'a key that is not plain text', 'write a name before the colon');
      continue;
    }
    const value = reader.resolve(pair.value);
    const entryPath = [...path, name];
    reader.place(entryPath, value === null ? offset : offsetOf(value));
    visit(name, offset, value, entryPath);
  }
  return true;
}

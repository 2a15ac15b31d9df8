import { isMap, isScalar, type Node } from 'yaml';
import type { ShardSpec } from '../keyspace/topology-builder.js';
import type { Vindex } from '../keyspace/vindex.js';
import { makeHashVindex } from '../vindex/hash.js';
import type { OptionField, OptionFields, OptionForm } from '../vindex/options.js';
import { isVindexType, vindexTypes, type VindexTypeName } from '../vindex/registry.js';
import { quoted, type Path, type Reader } from './reader.js';
import { age, choice, duration, settingValue, text } from './scalars.js';
import {
  list,
  object,
  oneOrMore,
  optional,
  record,
  required,
  type Field,
  type Spec,
} from './spec.js';
import { TABLE_NAME } from './table-name.js';
import { suggest } from '../util/suggest.js';

/** One entry under `vindexes`, read by the declaration of its type. */
export interface RawVindex {
  /** Null: there is a problem with it. */
  readonly type: VindexTypeName | LookupTypeName | null;
  readonly options: Readonly<Record<string, unknown>>;
}

type RawOptions = RawVindex['options'];

const typeNames = Object.keys(vindexTypes) as VindexTypeName[];
const lookupTypes = {
  lookup: 'Leads from values of a column to the shards of their rows',
  lookup_unique: 'The same, and no two rows have one value, whatever shards they are on',
} as const;
type LookupTypeName = keyof typeof lookupTypes;
const lookupNames = Object.keys(lookupTypes) as LookupTypeName[];
const allNames = [...typeNames, ...lookupNames];
const specs = Object.fromEntries(
  allNames.map((name) => [name, isLookupType(name) ? lookupSpec(name) : typeSpec(name)]),
) as Readonly<Record<VindexTypeName | LookupTypeName, Spec<RawOptions>>>;
/** What a mapping without a known type is read as: its other keys cannot be judged. */
const untyped = object({ type: required(choice(allNames), 'hash', 'write type: hash') });

/** A vindex: its type, and the options of that type. */
export function vindexSpec(): Spec<RawVindex> {
  return {
    jsonSchema: { anyOf: allNames.map((name) => specs[name].jsonSchema) },
    read(reader, node, path) {
      const type = typeOf(node);
      if (type === null) {
        untyped.read(reader, node, path);
        return { type: null, options: {} };
      }
      if (isVindexType(type) || isLookupType(type)) {
        return { type, options: specs[type].read(reader, node, path) ?? {} };
      }
      reader.place(path, node.range?.[0] ?? 0);
      const typePath = [...path, 'type'];
      reader.place(typePath, typeOffset(node));
      reportUnknownType(reader, typePath, type);
      return { type: null, options: {} };
    },
  };
}

function typeSpec(name: VindexTypeName): Spec<RawOptions> {
  const { description, options } = vindexTypes[name];
  const type = required(choice([name]), description, `write type: ${name}`);
  return object({ type, ...fieldsOf(options) });
}

/** Its table is what tables name it for. */
function lookupSpec(name: LookupTypeName): Spec<RawOptions> {
  const type = required(choice([name]), lookupTypes[name], `write type: ${name}`);
  const table = text({ what: 'a table: name or schema.name', pattern: TABLE_NAME });
  const cure = 'write table: NAME, a table for it alone, which Shardgate makes';
  return object({ type, table: required(table, 'Its own table, which Shardgate makes', cure) });
}

export function isLookupType(type: string): type is LookupTypeName {
  return Object.hasOwn(lookupTypes, type);
}

function fieldsOf(options: OptionFields): Record<string, Field<unknown>> {
  return Object.fromEntries(Object.entries(options).map(([key, field]) => [key, fieldOf(field)]));
}

function fieldOf({ form, description, requiredCure }: OptionField): Field<unknown> {
  const spec = specOf(form);
  return requiredCure === undefined
    ? optional(spec, description)
    : required(spec, description, requiredCure);
}

function specOf(form: OptionForm): Spec<unknown> {
  switch (form.kind) {
    case 'choice':
      return choice(form.choices);
    case 'value':
      return settingValue();
    case 'shard':
      return text({ what: 'the name of a shard' });
    case 'shards':
      return oneOrMore('names of shards', text({ what: 'the name of a shard' }));
    case 'values':
      return oneOrMore('values', settingValue());
    case 'age':
      return age();
    case 'interval':
      return duration({ min: 1000, max: 24 * 3_600_000 });
    case 'shardByValue':
      return record('value', '', text({ what: 'the name of a shard' }));
    case 'rows':
      return list('mappings', object(fieldsOf(form.fields)), { minItems: 1 });
  }
}

/** The text of `type`; null where there is none to read. */
function typeOf(node: Node): string | null {
  const value = typeNode(node);
  return isScalar(value) && typeof value.value === 'string' ? value.value : null;
}

function typeOffset(node: Node): number {
  const value = typeNode(node);
  return isScalar(value) ? (value.range?.[0] ?? 0) : 0;
}

function typeNode(node: Node): unknown {
  return isMap(node) ? node.get('type', true) : null;
}

function reportUnknownType(reader: Reader, path: Path, type: string): void {
  const meant = suggest(type, allNames);
  const cure = meant === null ? `the types are ${allNames.join(', ')}` : `did you mean "${meant}"?`;
  reader.report(path, `unknown vindex type ${quoted(type)}`, cure);
}

/** The vindexes of one keyspace, those without a problem. `path` is the keyspace's. */
export function readVindexes(
  reader: Reader,
  path: Path,
  raw: ReadonlyMap<string, RawVindex>,
  shards: readonly ShardSpec[],
): ReadonlyMap<string, Vindex> {
  const vindexes = new Map<string, Vindex>();
  for (const [name, { type, options }] of raw) {
    const vindexPath = [...path, 'vindexes', name];
    // What is made of faulty options or shards would only lead to misleading reports.
    if (type === null || isLookupType(type) || reader.reported(vindexPath)) continue;
    if (reader.reported([...path, 'shards'])) continue;
    const made = vindexTypes[type].make({ name, options, shards });
    if ('mapper' in made) vindexes.set(name, made);
    else {
      for (const problem of made) {
        reader.report([...vindexPath, ...problem.path], problem.message, problem.hint);
      }
    }
  }
  // Tables that name no vindex, or just `hash`, need no definition.
  if (!raw.has('hash')) vindexes.set('hash', makeHashVindex('hash'));
  return vindexes;
}

import type { RangeOwner } from '../keyspace/key-range-tiling.js';
import type { Vindex } from '../keyspace/vindex.js';

/**
 * What the value of an option is in the configuration. Its reading, its faults and its JSON Schema are made of this
 * declaration (`config/vindexes.ts`).
 */
export type OptionForm =
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** A number, or text such as a date, as the file spells it. */
  | { readonly kind: 'value' }
  /** One such value or several. */
  | { readonly kind: 'values' }
  /** The name of a shard. */
  | { readonly kind: 'shard' }
  /** One name or several. */
  | { readonly kind: 'shards' }
  /** Value to shard. */
  | { readonly kind: 'shardByValue' }
  /** A number of hours, days or weeks, in milliseconds. */
  | { readonly kind: 'age' }
  /** How often something is done, in milliseconds. */
  | { readonly kind: 'interval' }
  /** A list of mappings with these keys. */
  | { readonly kind: 'rows'; readonly fields: OptionFields };

export interface OptionField {
  readonly form: OptionForm;
  readonly description: string;
  /** What to write where it is missing; absent: it may be. */
  readonly requiredCure?: string;
}

export type OptionFields = Readonly<Record<string, OptionField>>;

/** What was read of an option; undefined: it was left out, or faulty and reported. */
type OptionValue<F extends OptionForm> = F extends { kind: 'choice' | 'value' | 'shard' }
  ? string
  : F extends { kind: 'shards' | 'values' }
    ? readonly string[]
    : F extends { kind: 'shardByValue' }
      ? ReadonlyMap<string, string>
      : F extends { kind: 'age' | 'interval' }
        ? number
        : F extends { kind: 'rows'; fields: infer S extends OptionFields }
          ? readonly OptionValues<S>[]
          : never;

export type OptionValues<F extends OptionFields> = {
  readonly [K in keyof F]: OptionValue<F[K]['form']> | undefined;
};

/** A fault of a vindex in the configuration. `path`: from the vindex to the value at fault. */
export interface VindexProblem {
  readonly message: string;
  readonly hint: string;
  readonly path: readonly (string | number)[];
}

/** What a vindex is made of. */
export interface VindexRequest<V = Readonly<Record<string, unknown>>> {
  readonly name: string;
  readonly options: V;
  /** The keyspace's. */
  readonly shards: readonly RangeOwner[];
}

export interface VindexType {
  /** One sentence for the JSON Schema. */
  readonly description: string;
  readonly options: OptionFields;
  /** Never throws. */
  readonly make: (request: VindexRequest) => Vindex | readonly VindexProblem[];
}

/** A type with options, of which `make` sees the values. */
export function vindexType<F extends OptionFields>(
  description: string,
  options: F,
  make: (request: VindexRequest<OptionValues<F>>) => Vindex | readonly VindexProblem[],
): VindexType {
  return { description, options, make: make as VindexType['make'] };
}

/** A type without options. */
export function plainType(description: string, make: (name: string) => Vindex): VindexType {
  return { description, options: {}, make: ({ name }) => make(name) };
}

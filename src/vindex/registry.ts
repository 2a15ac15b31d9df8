import type { Vindex } from '../keyspace/vindex.js';
import { makeHashVindex } from './hash.js';

/**
 * A fault of a vindex in the configuration. `option`: the option at fault; null: the type itself.
 */
export interface VindexProblem {
  readonly message: string;
  readonly hint: string;
  readonly option: string | null;
}

export type VindexOptions = Readonly<Record<string, unknown>>;

export interface VindexType {
  /** Names of the options beside `type` that the configuration may give. */
  readonly options: readonly string[];
  readonly make: (name: string, options: VindexOptions) => Vindex;
}

/**
 * Every vindex type by the name the configuration uses. A new vindex is one file and one line here.
 */
export const vindexTypes = {
  hash: { options: [], make: makeHashVindex },
} as const satisfies Record<string, VindexType>;

export type VindexTypeName = keyof typeof vindexTypes;

export type VindexResult =
  | { readonly ok: true; readonly vindex: Vindex }
  | { readonly ok: false; readonly problems: readonly VindexProblem[] };

/**
 * Builds the vindex `name` of a configured type; `options` are its other settings. Never throws.
 */
export function makeVindex(type: string, name: string, options: VindexOptions = {}): VindexResult {
  if (!isVindexType(type)) {
    const known = Object.keys(vindexTypes).join(', ');
    return {
      ok: false,
      problems: [
        {
          message: `unknown vindex type "${type}" of vindex "${name}"`,
          hint: `the types are: ${known}`,
          option: null,
        },
      ],
    };
  }
  const vindexType: VindexType = vindexTypes[type];
  const unknown = Object.keys(options).filter((option) => !vindexType.options.includes(option));
  if (unknown.length > 0) {
    const hint =
      vindexType.options.length === 0
        ? `type "${type}" has no options: remove it`
        : `its options are: ${vindexType.options.join(', ')}`;
    const problems = unknown.map((option) => ({
      message: `vindex "${name}" of type "${type}" has no option "${option}"`,
      hint,
      option,
    }));
    return { ok: false, problems };
  }
  return { ok: true, vindex: vindexType.make(name, options) };
}

export function isVindexType(type: string): type is VindexTypeName {
  return Object.hasOwn(vindexTypes, type);
}

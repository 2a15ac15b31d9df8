import { TREE_PART_BYTES } from './parse-limits.js';

/**
 * A large parse tree crosses from the worker in parts, so that the main thread never parses more than a few
 * milliseconds' worth of JSON at a time:
 *
 *   part 0: [{...},{...}]   part 1: [{...}]   ...   root: {"stmts":[...{"valuesLists":{"$parts":[0,1]}}...]}
 *
 * A part is a JSON array; `{"$parts":[...]}` stands for the parts' elements one behind the other, `{"$part":n}` for
 * the only element of part n. Parts refer to earlier parts only. No node of the grammar has such a field.
 */
export interface TreePart {
  readonly json: string;
  /** Whether it refers to other parts. */
  readonly refers: boolean;
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Cuts a tree into parts of about TREE_PART_BYTES; the last one holds the root as its only element. */
export function packTree(tree: Json): TreePart[] {
  const parts: TreePart[] = [];
  const addPart = (elements: readonly string[]): number => {
    const json = `[${elements.join(',')}]`;
    return parts.push({ json, refers: json.includes('{"$part') }) - 1;
  };
  const packArray = (elements: readonly Json[]): string => {
    const cut: number[] = [];
    let open: string[] = [];
    let size = 0;
    for (const element of elements) {
      const json = pack(element);
      open.push(json);
      size += json.length;
      if (size >= TREE_PART_BYTES) {
        cut.push(addPart(open));
        open = [];
        size = 0;
      }
    }
    if (cut.length === 0) return `[${open.join(',')}]`;
    if (open.length > 0) cut.push(addPart(open));
    return `{"$parts":${JSON.stringify(cut)}}`;
  };
  const pack = (value: Json): string => {
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    if (Array.isArray(value)) return packArray(value);
    const fields = Object.entries(value).map(
      ([name, field]) => `${JSON.stringify(name)}:${pack(field)}`,
    );
    const json = `{${fields.join(',')}}`;
    return json.length < TREE_PART_BYTES ? json : `{"$part":${addPart([json])}}`;
  };
  addPart([pack(tree)]);
  return parts;
}

/** Puts the parts together again; they must come in order. */
export class TreeAssembler {
  readonly #parts: Json[][] = [];

  add(part: TreePart): void {
    const elements = JSON.parse(part.json) as Json[];
    if (part.refers) this.#resolve(elements);
    this.#parts.push(elements);
  }

  /** The root: the only element of the last part. */
  finish(): unknown {
    return this.#parts.at(-1)?.[0];
  }

  /** Replaces all references below `root`, without recursion: what is referred to is resolved already. */
  #resolve(root: Json[]): void {
    const open: (Json[] | { [name: string]: Json })[] = [root];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      const fields = node as { [name: string]: Json };
      for (const name of Object.keys(node)) {
        const value = fields[name]!;
        if (value === null || typeof value !== 'object') continue;
        const referred = Array.isArray(value) ? null : this.#referred(value);
        if (referred === null) open.push(value);
        else fields[name] = referred;
      }
    }
  }

  #referred(value: { [name: string]: Json }): Json | null {
    const single = value['$part'];
    if (typeof single === 'number') return this.#parts[single]![0]!;
    const several = value['$parts'];
    if (!Array.isArray(several)) return null;
    const elements: Json[] = [];
    for (const index of several) {
      for (const element of this.#parts[index as number]!) elements.push(element);
    }
    return elements;
  }
}

import { isAlias, isMap, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml';
import { expandUrl, expandVariables } from './expand.js';
import type { ConfigProblem } from './problems.js';

/** Where a value stands in the file: `['keyspaces', 'shop', 'shards', 2, 'range']`. */
export type Path = readonly (string | number)[];

/** What reading a configuration needs of the world outside. */
export interface Surroundings {
  /** The file's name as problems show it; relative paths inside start at its folder. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a secret, key or certificate as UTF-8; throws as `fs.readFileSync` does. */
  readonly readFile: (path: string) => string;
}

/**
 * Text of the file with variables put in. `quotable`: it came from the file itself, so problems may
 * show it.
 */
export interface ReadText {
  readonly text: string;
  readonly quotable: boolean;
}

/**
 * One walk over one parsed file: collects problems, and remembers where each value stood for later
 * checks.
 */
export class Reader {
  readonly problems: ConfigProblem[] = [];
  readonly surroundings: Surroundings;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  /** Offsets by path. */
  readonly #places = new Map<string, number>();
  readonly #reported: Path[] = [];
  /**
   * Texts that variables went into, in quotes as problems show them, with what the file says
   * instead.
   */
  readonly #expanded = new Map<string, string>();

  constructor(document: Document.Parsed, lines: LineCounter, surroundings: Surroundings) {
    this.#document = document;
    this.#lines = lines;
    this.surroundings = surroundings;
  }

  /**
   * Reports at an offset of the file. Values of variables appear as the `${NAME}` that the file
   * has.
   */
  reportAt(offset: number, message: string, cure: string): void {
    const { line, col } = this.#lines.linePos(Math.max(0, offset));
    const { file } = this.surroundings;
    for (const [value, written] of this.#expanded) {
      message = message.replaceAll(value, () => written);
      cure = cure.replaceAll(value, () => written);
    }
    // `line` is 0 only before the first line, which LineCounter does not know in an empty file.
    this.problems.push({ file, line: Math.max(1, line), column: Math.max(1, col), message, cure });
  }

  /**
   * Reports at the value of `path`, or at the nearest one around it where the file does not hold
   * it.
   */
  report(path: Path, message: string, cure: string): void {
    this.#reported.push(path);
    this.reportAt(this.#offset(path), message, cure);
  }

  /**
   * Whether something at or below `path` was reported, so that what follows from it need not be.
   */
  reported(path: Path): boolean {
    return this.#reported.some((other) => path.every((step, index) => other[index] === step));
  }

  lineAt(offset: number): number {
    return Math.max(1, this.#lines.linePos(offset).line);
  }

  /** 1-based line of the value of `path`. */
  lineOf(path: Path): number {
    return this.lineAt(this.#offset(path));
  }

  place(path: Path, offset: number): void {
    this.#places.set(placeKey(path), offset);
  }

  has(path: Path): boolean {
    return this.#places.has(placeKey(path));
  }

  #offset(path: Path): number {
    for (let length = path.length; length >= 0; length--) {
      const offset = this.#places.get(placeKey(path.slice(0, length)));
      if (offset !== undefined) return offset;
    }
    return 0;
  }

  /**
   * The node that an alias stands for; null for nothing and for YAML's null (`pool:`), which both
   * mean "not given".
   */
  resolve(node: unknown): Node | null {
    let resolved = node;
    if (isAlias(resolved)) {
      const target = resolved.resolve(this.#document);
      if (target === undefined) {
        this.reportAt(
          offsetOf(resolved),
          'an alias of an anchor that is not defined above',
          'define the anchor (&name) before its alias (*name)',
        );
        return null;
      }
      resolved = target;
    }
    if (isScalar(resolved)) return resolved.value === null ? null : resolved;
    return isMap(resolved) || isSeq(resolved) ? resolved : null;
  }

  /**
   * A scalar as text with `${NAME}` put in; undefined where that failed or it is no text (both
   * reported).
   */
  text(node: Node, path: Path, what: string, secret: boolean): ReadText | undefined {
    if (isScalar(node) && typeof node.value === 'string') {
      return this.#expand(node.value, path, secret, expandVariables);
    }
    const shown = secret || !isScalar(node) ? '' : ` ${node.source ?? ''}`;
    const cure = isScalar(node)
      ? `put it in quotes${secret ? '' : `: "${node.source ?? ''}"`}`
      : `write ${what}`;
    this.report(path, `expected text, found ${describe(node)}${shown}`, cure);
    return undefined;
  }

  /** As `text`, with URL rules: variables in the user and password part are percent-encoded. */
  url(node: Node, path: Path, what: string): ReadText | undefined {
    if (isScalar(node) && typeof node.value === 'string') {
      return this.#expand(node.value, path, true, expandUrl);
    }
    return this.text(node, path, what, true);
  }

  #expand(
    raw: string,
    path: Path,
    secret: boolean,
    expand: typeof expandUrl,
  ): ReadText | undefined {
    const result = expand(raw, this.surroundings.env);
    if (!result.ok) {
      this.report(path, result.message, result.cure);
      return undefined;
    }
    if (result.expanded && !secret) this.#expanded.set(quoted(result.text), quoted(raw));
    return { text: result.text, quotable: !secret && !result.expanded };
  }

  /** A value as plain JavaScript; null where aliases blow it up. */
  plainOrNull(node: Node): unknown {
    try {
      return node.toJS(this.#document) as unknown;
    } catch {
      // ReferenceError of the yaml package: too many aliases, or one inside its own anchor.
      return null;
    }
  }

  /** Reads a file named in the configuration; undefined where it cannot be read (reported). */
  file(name: string, path: Path, what: string): string | undefined {
    try {
      return this.surroundings.readFile(name);
    } catch (error) {
      // Only the error's code: the name may have come from a variable.
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      this.report(
        path,
        `the file of ${what} cannot be read (${code})`,
        'name a file that exists and that this user may read; relative names start at this file',
      );
      return undefined;
    }
  }
}

/** What a node is, in words for people. */
export function describe(node: Node): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node)) return 'something else';
  switch (typeof node.value) {
    case 'number':
    case 'bigint':
      return 'the number';
    case 'boolean':
      return 'the truth value';
    case 'string':
      return 'the text';
    default:
      return 'a value';
  }
}

export function offsetOf(node: { readonly range?: readonly number[] | null | undefined }): number {
  return node.range?.[0] ?? 0;
}

/** A name from the file in quotes, cut where it is absurdly long and without control characters. */
export function quoted(name: string): string {
  const shown = name.length > 80 ? `${name.slice(0, 77)}...` : name;
  return JSON.stringify(shown);
}

/** A number as it is written; anything that would tear the line in quotes. */
export function written(value: string): string {
  return /^[\x21-\x7e]{1,80}$/.test(value) ? value : quoted(value);
}

function placeKey(path: Path): string {
  return JSON.stringify(path);
}

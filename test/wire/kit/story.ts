import * as bytes from '../../support/frontend-bytes.js';
import type { Delivery } from '../../support/wire-pair.js';

/**
 * A story is what one or more raw clients say, and when they listen. It is told to a plain Postgres and to Shardgate,
 * and both must answer with the same messages (kit/player.ts).
 */
export interface Story {
  readonly title: string;
  readonly steps: readonly Step[];
  /** Rows that follow each other may come in any order: no ORDER BY, several shards. */
  readonly anyOrder: boolean;
  /** Only SQLSTATE and severity of errors and notices are compared: why must be said where it is set. */
  readonly codesOnly: boolean;
  /** The context of errors (W) is not compared: it counts the lines of a COPY, and those of a shard are its own. */
  readonly anyContext: boolean;
  /** The client `A` is in when the story begins; else it is only connected. */
  readonly loggedIn: boolean;
  /** Further startup parameters of clients that are in when they come. */
  readonly login: Readonly<Record<string, string>>;
  readonly deliveries: readonly Delivery[];
  /** How long an answer may take. */
  readonly patienceMs: number;
}

export type Step =
  | { readonly kind: 'send'; readonly messages: readonly Buffer[] }
  /** Reads up to the `count`th message of the type. */
  | { readonly kind: 'read'; readonly type: string; readonly count: number }
  /** Reads all answers to what has been sent, however many they are, open pipeline or not. */
  | { readonly kind: 'settle' }
  /** One byte that is no message. */
  | { readonly kind: 'byte' }
  /** Reads to the end of the connection. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'silence'; readonly ms: number }
  | { readonly kind: 'pause'; readonly ms: number }
  /** The connection ends from this side without a word. */
  | { readonly kind: 'vanish' }
  | { readonly kind: 'cancel'; readonly key: CancelKey }
  /** Another client's steps, under its name; it connects with the first of them. */
  | { readonly kind: 'by'; readonly client: string; readonly steps: readonly Step[] };

/** What a cancel request says of itself: the client's own key, a wrong one, the right one byte by byte. */
export type CancelKey = 'right' | 'wrong secret' | 'wrong pid' | 'in pieces' | 'cut short';

type StoryOptions = Partial<Omit<Story, 'title' | 'steps'>>;

export function story(title: string, steps: readonly Step[], options: StoryOptions = {}): Story {
  return {
    title,
    steps,
    anyOrder: false,
    codesOnly: false,
    anyContext: false,
    loggedIn: true,
    login: {},
    deliveries: ['whole', 'coalesced', 'bytes'],
    patienceMs: 15_000,
    ...options,
  };
}

/** A story that begins with a connection on which nothing has been said. */
export function connection(
  title: string,
  steps: readonly Step[],
  options: StoryOptions = {},
): Story {
  return story(title, steps, { loggedIn: false, ...options });
}

// ---------------------------------------------------------------- steps

export function send(...messages: readonly Buffer[]): Step {
  return { kind: 'send', messages };
}

export function reads(type: string, count = 1): Step {
  return { kind: 'read', type, count };
}

/** Reads up to so many ReadyForQuery. */
export function ready(count = 1): Step {
  return reads('Z', count);
}

export const settles: Step = { kind: 'settle' };
export const byte: Step = { kind: 'byte' };
export const closed: Step = { kind: 'closed' };
export const vanish: Step = { kind: 'vanish' };

export function silence(ms = 60): Step {
  return { kind: 'silence', ms };
}

export function pause(ms: number): Step {
  return { kind: 'pause', ms };
}

export function cancel(key: CancelKey = 'right'): Step {
  return { kind: 'cancel', key };
}

export function by(client: string, ...steps: readonly Step[]): Step {
  return { kind: 'by', client, steps };
}

/** A simple query and its answer, for each of the texts. */
export function asks(...texts: readonly string[]): Step {
  return {
    kind: 'by',
    client: '',
    steps: texts.flatMap((text) => [send(bytes.query(text)), ready()]),
  };
}

/** Messages with a Sync behind them, and the answer. */
export function batch(...messages: readonly (Buffer | readonly Buffer[])[]): Step {
  return {
    kind: 'by',
    client: '',
    steps: [send(...messages.flat(), bytes.sync()), ready()],
  };
}

/** Parse, Bind, Describe and Execute of the unnamed statement. */
export function run(
  sql: string,
  values: readonly (string | Buffer | null)[] = [],
  options: Omit<bytes.BindOptions, 'values'> & { readonly rowsMax?: number } = {},
): readonly Buffer[] {
  const { portal = '', statement = '', rowsMax = 0 } = options;
  return [
    bytes.parse(sql, statement),
    bytes.bind({ ...options, values }),
    bytes.describe('P', portal),
    bytes.execute(portal, rowsMax),
  ];
}

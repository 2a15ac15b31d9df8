import type { Dice } from './chaos-random.js';
import { validSession, type ByteSession } from './chaos-sessions.js';

/** How a client goes. */
const endings = ['terminate', 'half-close', 'vanish', 'vanish soon', 'reset'] as const;
export type Ending = (typeof endings)[number];

/** A session as it is sent: chunk by chunk, then the end. */
export interface MutatedSession {
  readonly name: string;
  readonly chunks: readonly Buffer[];
  readonly ending: Ending;
  /** It sends a cancel request with its own key, and one with a key that is nearly its own. */
  readonly cancels: boolean;
  /** It never reads what it is answered. */
  readonly deaf: boolean;
}

type Mutation = (messages: Buffer[], at: number, dice: Dice, other: readonly Buffer[]) => void;

const LENGTHS = [-1, 0, 1, 3, 4, 5, 0x7fff_ffff, -0x8000_0000, 1 << 30, 16 * 1024 + 5, 65_536];

const mutations: Readonly<Record<string, Mutation>> = {
  flip: (messages, at, dice) => {
    const bytes = Buffer.from(messages[at]!);
    for (let i = dice.between(1, 4); i > 0; i--) {
      const position = dice.below(bytes.length);
      bytes[position] = bytes[position]! ^ (1 << dice.below(8));
    }
    messages[at] = bytes;
  },
  cut: (messages, at, dice) => {
    messages[at] = messages[at]!.subarray(0, dice.below(messages[at]!.length));
  },
  double: (messages, at, dice) => {
    messages.splice(at, 0, ...Array.from({ length: dice.between(1, 5) }, () => messages[at]!));
  },
  drop: (messages, at) => {
    messages.splice(at, 1);
  },
  move: (messages, at, dice) => {
    const [message] = messages.splice(at, 1);
    messages.splice(dice.between(1, Math.max(1, messages.length)), 0, message!);
  },
  length: (messages, at, dice) => {
    const bytes = Buffer.from(messages[at]!);
    if (bytes.length < 5) return;
    const length = dice.chance(0.5) ? bytes.length - 1 + dice.between(-3, 3) : dice.pick(LENGTHS);
    bytes.writeInt32BE(length, 1);
    messages[at] = bytes;
  },
  type: (messages, at, dice) => {
    const bytes = Buffer.from(messages[at]!);
    bytes[0] = dice.chance(0.8) ? dice.pick([...Buffer.from('QPBDECHSXFdcfp')]) : dice.below(256);
    messages[at] = bytes;
  },
  noise: (messages, at, dice) => {
    messages.splice(at, 0, dice.bytes(dice.between(1, 40)));
  },
  graft: (messages, at, dice, other) => {
    messages.splice(at, 0, dice.pick(other));
  },
  stop: (messages, at, dice) => {
    messages[at] = messages[at]!.subarray(0, dice.below(messages[at]!.length));
    messages.length = at + 1;
  },
};

const mutationNames = Object.keys(mutations);

/** A valid session with up to three things wrong with it; one in six has nothing wrong but its end. */
export function mutatedSession(database: string, dice: Dice): MutatedSession {
  const { name, messages } = validSession(database, dice);
  const other: ByteSession = validSession(database, dice);
  const mutable = [...messages];
  const applied: string[] = [];
  for (let i = dice.below(6) === 0 ? 0 : dice.between(1, 3); i > 0; i--) {
    const mutation = dice.pick(mutationNames);
    // Mostly behind the startup packet: nothing gets far with that one broken.
    const first = messages.length === 1 || dice.chance(0.1) ? 0 : 1;
    const at = first + dice.below(Math.max(1, mutable.length - first));
    if (mutable[at] === undefined || mutable[at].length === 0) continue;
    mutations[mutation]!(mutable, at, dice, other.messages);
    applied.push(`${mutation}@${at}`);
  }
  return {
    name: `${name} [${applied.join(' ')}]`,
    chunks: chunked(mutable, dice),
    ending: dice.pick(endings),
    cancels: dice.chance(0.2),
    deaf: dice.chance(0.15),
  };
}

/** As one write, one a message, or in pieces that no message ends with. */
function chunked(messages: readonly Buffer[], dice: Dice): Buffer[] {
  const how = dice.below(3);
  if (how === 0) return [...messages];
  const all = Buffer.concat(messages);
  if (how === 1) return [all];
  const chunks: Buffer[] = [];
  for (let at = 0; at < all.length;) {
    const size = dice.between(1, Math.max(8, all.length >> 3));
    chunks.push(all.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const SHOWN_BYTES = 400;

/** One session in a failure message: enough to see it; the seed repeats it whole. */
export function showSession(session: MutatedSession): string {
  const bytes = Buffer.concat(session.chunks);
  const shown = JSON.stringify(bytes.subarray(0, SHOWN_BYTES).toString('latin1'));
  const rest = bytes.length > SHOWN_BYTES ? ` and ${bytes.length - SHOWN_BYTES} bytes more` : '';
  const flags = `${session.cancels ? ', cancels' : ''}${session.deaf ? ', deaf' : ''}`;
  return `${session.name}, ${session.ending}${flags}: ${shown}${rest}`;
}

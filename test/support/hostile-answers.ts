import type { Dice } from './chaos-random.js';
import type { Tamper } from './relay.js';
import { frame, int16, int32 } from './wire-messages.js';

/** ReadyForQuery. */
const READY = 0x5a;

type Lie = (message: Buffer, dice: Dice) => readonly Buffer[];

const LENGTHS = [-1, 0, 3, 4, 5, 0x7fff_ffff, -0x8000_0000, 1 << 30, 70_000_000, 100_000];

/** What a server may say only at other times, or never. */
const unasked: readonly Buffer[] = [
  frame('1'),
  frame('2'),
  frame('3'),
  frame('n'),
  frame('s'),
  frame('I'),
  frame('c'),
  frame('Z', Buffer.from('I')),
  frame('Z', Buffer.from('E')),
  frame('Z', Buffer.from('x')),
  frame('Z'),
  frame('C', 'SELECT 1'),
  frame('C', ''),
  frame('C'),
  frame('T', int16(1)),
  frame('T', int16(0)),
  frame('t', int16(1), int32(23)),
  frame('D', int16(1), int32(5), Buffer.from('stray')),
  frame('D', int16(3)),
  frame('D'),
  frame('d', Buffer.from('stray\n')),
  frame('G', Buffer.from([0]), int16(1), int16(0)),
  frame('H', Buffer.from([0]), int16(0)),
  frame('W', Buffer.from([0]), int16(0)),
  frame('R', int32(0)),
  frame('R', int32(5), Buffer.from('salt')),
  frame('K', int32(1), int32(2)),
  frame('v', int32(0x30000), int32(0)),
  frame('S', 'TimeZone', 'Nowhere'),
  frame('S', 'half'),
  frame('A', int32(1), 'channel', 'payload'),
  frame('A'),
  frame('N', Buffer.from([0])),
  // An error without SQLSTATE, one without anything, one that is cut off, a fatal one.
  frame('E', Buffer.from('SERROR\0Mno code\0\0', 'latin1')),
  frame('E', Buffer.from([0])),
  frame('E', Buffer.from('SERROR', 'latin1')),
  frame('E', Buffer.from('SFATAL\0VFATAL\0C57P01\0Mgoodbye\0\0', 'latin1')),
  frame('?', Buffer.from('what')),
  Buffer.from([0]),
];

/** Ways to answer wrongly. None changes the values of a row: what a server says of its own rows nobody can check. */
const lies: Readonly<Record<string, Lie>> = {
  drop: () => [],
  double: (message) => [message, message],
  type: (message, dice) => {
    const bytes = Buffer.from(message);
    bytes[0] = dice.chance(0.8)
      ? dice.pick([...Buffer.from('12CDETZSRKnsIGHcdA')])
      : dice.below(256);
    return [bytes];
  },
  length: (message, dice) => {
    const bytes = Buffer.from(message);
    const near = bytes.length - 1 + dice.between(-3, 3);
    bytes.writeInt32BE(dice.chance(0.5) ? near : dice.pick(LENGTHS), 1);
    return [bytes];
  },
  count: (message, dice) => {
    const bytes = Buffer.from(message);
    if (bytes.length >= 7) bytes.writeUInt16BE(dice.pick([0, 1, 2, 5, 1664, 0xffff]), 5);
    return [bytes];
  },
  before: (message, dice) => [dice.pick(unasked), message],
  behind: (message, dice) => [message, dice.pick(unasked)],
  instead: (_message, dice) => [dice.pick(unasked)],
  noise: (message, dice) => [dice.bytes(dice.between(1, 30)), message],
  /** A row without end. */
  flood: (_message, dice) => {
    const head = Buffer.from([dice.pick([0x44, 0x64, 0x54, 0x4e]), 0x3f, 0xff, 0xff, 0xff, 0, 1]);
    return [head, ...Array.from({ length: dice.between(1, 40) }, () => Buffer.alloc(65_536, 0x61))];
  },
};
const names = Object.keys(lies);

/** A server that lies now and then, or closes in the middle; `honest` switches that. */
export interface HostileServer {
  honest: boolean;
  /** How many lies it has told. */
  lies: number;
  readonly tamper: Tamper;
}

/**
 * Whether it says once too often that it is ready. It says no more then: whose answer the rest would be nobody can
 * tell, once somebody else has asked.
 */
function endsEarly(message: Buffer, told: readonly Buffer[]): boolean {
  const isReady = (bytes: Buffer): boolean => bytes[0] === READY;
  return told.filter(isReady).length > (isReady(message) ? 1 : 0);
}

/** @param everyNth how seldom it does: one message in so many */
export function hostileServer(dice: Dice, everyNth: number): HostileServer {
  const server = {
    honest: true,
    lies: 0,
    tamper: (message: Buffer) => {
      if (server.honest || dice.below(everyNth) > 0) return { bytes: [message], close: false };
      server.lies++;
      if (dice.chance(0.15)) {
        return { bytes: [message.subarray(0, dice.below(message.length))], close: true };
      }
      const bytes = lies[dice.pick(names)]!(message, dice);
      return { bytes, close: dice.chance(0.1) || endsEarly(message, bytes) };
    },
  };
  return server;
}

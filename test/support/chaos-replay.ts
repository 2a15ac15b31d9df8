import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MutatedSession } from './chaos-mutations.js';
import { cancelRequest } from './chaos-sessions.js';

/** What a proxy may send: answers of the backend side of PostgreSQL's protocol, version 3. */
const ANSWERS = new Set('1 2 3 A C D E G H I K N R S T V W Z c d n s t v'.split(' '));
const ANSWER_BYTES_MAX = 32 * 2 ** 20;

/** How long a client that hangs up politely waits for the other side to do so too. */
const GOODBYE_MS = 400;

/**
 * Sends a session's bytes and goes as it says. Tells what was wrong with the answers as far as they were read: a byte
 * stream that does not follow the protocol; null: nothing.
 */
export async function replay(port: number, session: MutatedSession): Promise<string | null> {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const answers = new AnswerReader();
  if (!session.deaf) socket.on('data', (chunk: Buffer) => answers.push(chunk));
  for (const chunk of session.chunks) {
    if (socket.destroyed) break;
    socket.write(chunk);
    if (session.chunks.length < 20) await sleep(1);
  }
  await sleep(session.ending === 'vanish soon' ? 5 : 40);
  if (session.cancels && answers.key !== null) {
    const { pid, secret } = answers.key;
    const almost = Buffer.from(secret);
    almost[0] = almost[0]! ^ 1;
    await Promise.all([sendCancel(port, pid, almost), sendCancel(port, pid, secret)]);
  }
  await leave(socket, session, ended);
  return answers.problem;
}

async function leave(socket: Socket, session: MutatedSession, ended: Promise<void>): Promise<void> {
  switch (session.ending) {
    case 'terminate':
      socket.end(Buffer.from('X\0\0\0\x04', 'latin1'));
      await Promise.race([ended, sleep(GOODBYE_MS)]);
      break;
    case 'half-close':
      socket.end();
      await Promise.race([ended, sleep(GOODBYE_MS)]);
      break;
    case 'reset':
      socket.resetAndDestroy();
      break;
    case 'vanish':
    case 'vanish soon':
      break;
  }
  socket.destroy();
}

function sendCancel(port: number, pid: number, secret: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.resume();
    socket.end(cancelRequest(pid, secret));
    setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
  });
}

/** Follows the answers from message to message, without keeping them. */
class AnswerReader {
  problem: string | null = null;
  key: { readonly pid: number; readonly secret: Buffer } | null = null;
  #pending = Buffer.alloc(0);
  #started = false;

  push(chunk: Buffer): void {
    if (this.problem !== null) return;
    this.#pending = Buffer.concat([this.#pending, chunk]);
    // A request for encryption is answered by one byte, before anything else. Errors have a length behind the E.
    while (!this.#started && this.#pending[0] === 0x4e) this.#pending = this.#pending.subarray(1);
    while (this.#pending.length >= 5) {
      const type = String.fromCharCode(this.#pending[0]!);
      const length = this.#pending.readInt32BE(1);
      if (!ANSWERS.has(type) || length < 4 || length > ANSWER_BYTES_MAX) {
        const bytes = this.#pending.subarray(0, 60).toString('latin1');
        this.problem = `answer of type ${JSON.stringify(type)}, length ${length}: ${JSON.stringify(bytes)}`;
        return;
      }
      if (this.#pending.length < 1 + length) return;
      this.#started = true;
      if (type === 'K') {
        const pid = this.#pending.readInt32BE(5);
        this.key = { pid, secret: Buffer.from(this.#pending.subarray(9, 1 + length)) };
      }
      this.#pending = this.#pending.subarray(1 + length);
    }
  }
}

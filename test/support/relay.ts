import { connect, createServer, type Server, type Socket } from 'node:net';

/** What a relay does when the watched text comes by from the client. */
export type Cut =
  /** Nothing gets through, and both ends are cut: the server never hears it. */
  | 'before'
  /** The server gets it, the client never hears the answer. */
  | 'after';

/** A TCP relay in front of a server, for losing a connection at an exact place of what is said. */
export interface Relay {
  /** The server's URL with the relay's address. */
  readonly url: string;
  /** Cuts the next connection whose client sends this text; `stayAway`: and is closed from then on. */
  cutAt(text: string, cut: Cut, stayAway?: boolean): void;
  /** Resolves when that has happened. */
  cutHappened(): Promise<void>;
  /** False: every connection is cut and new ones are refused, until true. */
  setOpen(open: boolean): void;
  /** False: nothing gets through in either direction, until true. */
  setFlowing(flowing: boolean): void;
  close(): Promise<void>;
}

/** What the client gets in place of a server's message, in pieces; `close`: the connection ends behind them. */
export type Tamper = (message: Buffer) => {
  readonly bytes: readonly Buffer[];
  readonly close: boolean;
};

/** How long a message that the server shall still get has to reach it, before its connection ends. */
const DELIVER_MS = 300;

/** @param tamper is given every message of the server, from a session without TLS */
export async function startRelay(serverUrl: string, tamper?: Tamper): Promise<Relay> {
  const target = new URL(serverUrl);
  const pairs = new Set<readonly [Socket, Socket]>();
  let isOpen = true;
  let flows = true;
  let wanted: { text: string; cut: Cut; stayAway: boolean } | null = null;
  let happened: () => void = () => undefined;
  let cutDone: Promise<void> = Promise.resolve();

  const end = (pair: readonly [Socket, Socket]): void => {
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  const setOpen = (open: boolean): void => {
    isOpen = open;
    if (!open) for (const pair of [...pairs]) end(pair);
  };
  const setFlowing = (flowing: boolean): void => {
    flows = flowing;
    for (const socket of [...pairs].flat()) {
      if (flowing) socket.resume();
      else socket.pause();
    }
  };
  const server: Server = createServer((client) => {
    if (!isOpen) {
      client.destroy();
      return;
    }
    const upstream = connect(Number(target.port), target.hostname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    let deaf = false;
    client.on('data', (chunk: Buffer) => {
      if (wanted === null || !chunk.includes(wanted.text)) {
        upstream.write(chunk);
        return;
      }
      const { cut, stayAway } = wanted;
      wanted = null;
      const finish = (): void => {
        end(pair);
        if (stayAway) setOpen(false);
        happened();
      };
      if (cut === 'before') {
        finish();
        return;
      }
      deaf = true;
      upstream.write(chunk);
      setTimeout(finish, DELIVER_MS);
    });
    let rest: Buffer = NOTHING;
    const tampered = (chunk: Buffer, change: Tamper): void => {
      const [messages, behind] = cutIntoMessages(Buffer.concat([rest, chunk]));
      rest = behind;
      for (const message of messages) {
        const { bytes, close } = change(message);
        for (const piece of bytes) client.write(piece);
        if (!close) continue;
        deaf = true;
        client.end(() => {
          end(pair);
        });
        return;
      }
    };
    upstream.on('data', (chunk: Buffer) => {
      if (deaf) return;
      if (tamper === undefined) client.write(chunk);
      else tampered(chunk, tamper);
    });
    if (!flows) for (const socket of pair) socket.pause();
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        end(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    cutAt: (text, cut, stayAway = false) => {
      wanted = { text, cut, stayAway };
      cutDone = new Promise((resolve) => (happened = resolve));
    },
    cutHappened: () => cutDone,
    setOpen,
    setFlowing,
    close: () => {
      for (const pair of [...pairs]) end(pair);
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const NOTHING = Buffer.alloc(0);

function cutIntoMessages(bytes: Buffer): [messages: Buffer[], rest: Buffer] {
  const messages: Buffer[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) break;
    messages.push(bytes.subarray(at, end));
    at = end;
  }
  return [messages, bytes.subarray(at)];
}

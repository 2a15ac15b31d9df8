import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import {
  acceptTransport,
  connectTransport,
  secureClientTransport,
  secureServerTransport,
  type SocketTransport,
} from '../../../src/net/transport.js';
import { CERTIFICATE, KEY } from '../config/tls-pair.js';
import { acceptedPair, listen, pattern, pause, Recorder, type Pair } from './loopback.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function accept(recorder: Recorder): Promise<Pair> {
  const pair = await acceptedPair(recorder);
  cleanups.push(pair.close);
  return pair;
}

/** A transport that connected to a plain server, and the server's socket. */
async function connect(
  recorder: Recorder,
): Promise<{ transport: SocketTransport; peer: net.Socket }> {
  const server = net.createServer();
  const port = await listen(server);
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  let connected!: () => void;
  const established = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const transport = connectTransport({ host: '127.0.0.1', port }, recorder, connected);
  const peer = await accepted;
  await established;
  peer.on('error', () => {
    // Tests break connections on purpose.
  });
  cleanups.push(() => {
    transport.destroy();
    peer.destroy();
    server.close();
  });
  return { transport, peer };
}

/** Accepts a peer whose reader pauses at every chunk. */
async function acceptPausing(
  recorder: Recorder,
): Promise<{ readonly peer: net.Socket; readonly closed: () => boolean }> {
  const { accepted, peer } = await accept(recorder);
  let closed = false;
  accepted.handler = {
    onBytes: (buffer, start, end) => {
      recorder.onBytes(buffer, start, end);
      accepted.pause();
    },
    onDrain() {
      // Nothing is written.
    },
    onClose: () => {
      closed = true;
    },
  };
  return { peer, closed: () => closed };
}

describe('reading', () => {
  test('an accepted connection reads behind a headroom of 1 KB', async () => {
    const recorder = new Recorder();
    const { peer, accepted } = await accept(recorder);
    peer.write('hello');
    await recorder.until(() => recorder.chunks.length > 0);
    expect(recorder.bytes.toString()).toBe('hello');
    expect(recorder.headrooms).toEqual([1024]);
    expect(accepted.bytesRead).toBe(5);
    expect(accepted.remote).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('a connection to a server reads behind a headroom of 8 KB', async () => {
    const recorder = new Recorder();
    const { peer } = await connect(recorder);
    peer.write('hello');
    await recorder.until(() => recorder.chunks.length > 0);
    expect(recorder.headrooms).toEqual([8192]);
  });

  test('a client that sends much gets a larger buffer, and no byte is lost', async () => {
    const recorder = new Recorder();
    const { peer } = await accept(recorder);
    const sent = pattern(1_000_000);
    peer.write(sent);
    await recorder.until(() => recorder.bytes.length === sent.length);
    expect(recorder.bytes.equals(sent)).toBe(true);
    const sizes = recorder.chunks.map((chunk) => chunk.length);
    expect(sizes[0]).toBe(4096);
    expect(Math.max(...sizes)).toBeGreaterThan(16_384);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(65_536);
    expect(new Set(recorder.headrooms)).toEqual(new Set([1024]));
  });

  test('nothing is read while paused, and what was handed out stays', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    let held: Buffer | null = null;
    accepted.handler = {
      onBytes: (buffer, start, end) => {
        recorder.onBytes(buffer, start, end);
        held ??= buffer.subarray(start, end);
        accepted.pause();
      },
      onDrain() {
        // Nothing is written.
      },
      onClose() {
        // Closed by the test.
      },
    };
    const sent = pattern(300_000);
    peer.write(sent);
    await recorder.until(() => recorder.chunks.length === 1);
    await pause(30);
    expect(recorder.chunks).toHaveLength(1);
    expect(held!.equals(sent.subarray(0, held!.length))).toBe(true);
    for (let length = 0; length < sent.length;) {
      length = recorder.bytes.length;
      const { chunks } = recorder;
      const count = chunks.length;
      if (length === sent.length) break;
      accepted.resume();
      await recorder.until(() => chunks.length > count);
    }
    expect(recorder.bytes.equals(sent)).toBe(true);
  });

  test('a peer that goes while paused is noticed, with what it sent before still unread', async () => {
    const recorder = new Recorder();
    const { peer, closed } = await acceptPausing(recorder);
    peer.write('first');
    await recorder.until(() => recorder.chunks.length === 1);
    peer.write('second');
    await pause(10);
    peer.end('third');
    while (!closed()) await pause(5);
    expect(recorder.bytes.toString()).toBe('first');
  });

  test('so is one that sent very much in very small pieces', async () => {
    const recorder = new Recorder();
    const { peer, closed } = await acceptPausing(recorder);
    for (let i = 0; i < 300; i++) {
      peer.write(pattern(100));
      // Each piece is read by itself.
      await new Promise((resolve) => setImmediate(resolve));
    }
    peer.end();
    while (!closed()) await pause(5);
    expect(recorder.chunks).toHaveLength(1);
  });

  test('a pause before anything came', async () => {
    const recorder = new Recorder();
    const { transport, peer } = await connect(recorder);
    transport.pause();
    peer.write('late');
    await pause(30);
    expect(recorder.chunks).toHaveLength(0);
    transport.resume();
    await recorder.until(() => recorder.chunks.length > 0);
    expect(recorder.bytes.toString()).toBe('late');
  });
});

describe('writing', () => {
  test('bytes that the kernel took at once need no drain, and their buffer may be used again', async () => {
    const recorder = new Recorder();
    const { transport, peer } = await connect(recorder);
    const received: Buffer[] = [];
    peer.on('data', (chunk) => received.push(chunk));
    const scratch = Buffer.alloc(100);
    for (let i = 0; i < 20; i++) {
      scratch.fill(i);
      expect(transport.write(scratch)).toBe(true);
    }
    expect(transport.congested).toBe(false);
    while (Buffer.concat(received).length < 2000) await pause(5);
    const bytes = Buffer.concat(received);
    for (let i = 0; i < 20; i++) expect(bytes[i * 100 + 50]).toBe(i);
    expect(recorder.drains).toBe(0);
    expect(transport.bytesWritten).toBe(2000);
  });

  test('a peer that does not read: false, and one drain when all has left', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    peer.pause();
    const sent = pattern(200_000);
    let writes = 0;
    while (accepted.write(sent)) writes++;
    accepted.write(sent);
    accepted.write(sent);
    writes += 3;
    expect(accepted.congested).toBe(true);
    await pause(30);
    expect(recorder.drains).toBe(0);
    let received = 0;
    let wrong = 0;
    peer.on('data', (chunk) => {
      for (let i = 0; i < chunk.length; i += 997) {
        if (chunk[i] !== sent[(received + i) % sent.length]) wrong++;
      }
      received += chunk.length;
    });
    peer.resume();
    await recorder.until(() => recorder.drains > 0);
    expect(accepted.congested).toBe(false);
    while (received < writes * sent.length) await pause(5);
    await pause(20);
    expect(received).toBe(writes * sent.length);
    expect(wrong).toBe(0);
    expect(recorder.drains).toBe(1);
  });

  test('congested again after a drain: drains again', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    for (let round = 1; round <= 2; round++) {
      peer.pause();
      while (accepted.write(pattern(500_000)));
      peer.on('data', () => {
        // Read and forgotten.
      });
      peer.resume();
      await recorder.until(() => recorder.drains === round);
    }
    expect(recorder.drains).toBe(2);
  });

  test('end sends what was written before it closes', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    const received: Buffer[] = [];
    peer.on('data', (chunk) => received.push(chunk));
    accepted.write(pattern(3_000_000));
    accepted.end();
    await recorder.until(() => recorder.closes.length > 0);
    expect(Buffer.concat(received).equals(pattern(3_000_000))).toBe(true);
    expect(recorder.closes).toEqual([null]);
  });
});

describe('the end of a connection is told once', () => {
  test('the peer ends', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    peer.end('bye');
    await recorder.until(() => recorder.closes.length > 0);
    expect(recorder.bytes.toString()).toBe('bye');
    await pause(20);
    expect(recorder.closes).toEqual([null]);
    expect(accepted.writable).toBe(false);
  });

  test('the peer resets', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    peer.write('x');
    await recorder.until(() => recorder.chunks.length > 0);
    peer.resetAndDestroy();
    await recorder.until(() => recorder.closes.length > 0);
    expect((recorder.closes[0] as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    // Late calls of a session that has not noticed yet.
    accepted.write(Buffer.from('x'));
    accepted.pause();
    accepted.resume();
    accepted.end();
    accepted.destroy();
    await pause(20);
    expect(recorder.closes).toHaveLength(1);
  });

  test('we destroy it', async () => {
    const recorder = new Recorder();
    const { accepted } = await accept(recorder);
    accepted.destroy();
    accepted.destroy();
    await recorder.until(() => recorder.closes.length > 0);
    await pause(20);
    expect(recorder.closes).toEqual([null]);
  });

  test('while bytes wait: they are not reported as drained', async () => {
    for (const how of ['destroyed here', 'reset by the peer']) {
      const recorder = new Recorder();
      const { accepted, peer } = await accept(recorder);
      peer.pause();
      while (accepted.write(pattern(500_000)));
      if (how === 'destroyed here') accepted.destroy();
      else peer.resetAndDestroy();
      await recorder.until(() => recorder.closes.length > 0);
      await pause(20);
      expect([how, recorder.drains, recorder.closes.length]).toEqual([how, 0, 1]);
    }
  });

  test('nobody listens', async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => {
      server.close(resolve);
    });
    const recorder = new Recorder();
    let connected = false;
    const transport = connectTransport({ host: '127.0.0.1', port }, recorder, () => {
      connected = true;
    });
    await recorder.until(() => recorder.closes.length > 0);
    expect((recorder.closes[0] as NodeJS.ErrnoException).code).toBe('ECONNREFUSED');
    expect(connected).toBe(false);
    expect(transport.writable).toBe(false);
  });

  test('the listener closes only when its connections have', async () => {
    const recorder = new Recorder();
    const server = net.createServer({ pauseOnConnect: true });
    const port = await listen(server);
    const accepted = new Promise<SocketTransport>((resolve) => {
      server.once('connection', (socket) => {
        resolve(acceptTransport(socket, recorder));
      });
    });
    const peer = net.connect({ host: '127.0.0.1', port });
    const transport = await accepted;
    let closed = false;
    server.close(() => {
      closed = true;
    });
    await pause(20);
    expect(closed).toBe(false);
    transport.destroy();
    peer.destroy();
    await recorder.until(() => recorder.closes.length > 0);
    await pause(20);
    expect(closed).toBe(true);
  });
});

describe('TLS', () => {
  const identity = { cert: CERTIFICATE, key: KEY };

  test('a client that asks for it: bytes both ways, behind a headroom', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    const secure = secureServerTransport(accepted, {
      secureContext: tls.createSecureContext(identity),
    });
    const client = tls.connect({ socket: peer, rejectUnauthorized: false });
    const sent = pattern(200_000);
    client.write(sent);
    await recorder.until(() => recorder.bytes.length === sent.length);
    expect(recorder.bytes.equals(sent)).toBe(true);
    expect(Math.min(...recorder.headrooms)).toBe(8192);
    const answer = new Promise<string>((resolve) => {
      client.once('data', (chunk) => {
        resolve(chunk.toString());
      });
    });
    secure.write(Buffer.from('answer'));
    expect(await answer).toBe('answer');
    expect(secure.peerCertificateName()).toBeNull();
    client.end();
    await recorder.until(() => recorder.closes.length > 0);
    await pause(20);
    expect(recorder.closes).toHaveLength(1);
  });

  test('pausing keeps every byte', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    const secure = secureServerTransport(accepted, {
      secureContext: tls.createSecureContext(identity),
    });
    const original = recorder.onBytes.bind(recorder);
    secure.handler = {
      onBytes: (buffer, start, end) => {
        secure.pause();
        original(buffer, start, end);
        setTimeout(() => {
          secure.resume();
        }, 1);
      },
      onDrain() {
        // Nothing is written.
      },
      onClose() {
        // Closed by the test.
      },
    };
    const sent = pattern(400_000);
    tls.connect({ socket: peer, rejectUnauthorized: false }).write(sent);
    await recorder.until(() => recorder.bytes.length >= sent.length);
    expect(recorder.bytes.equals(sent)).toBe(true);
  });

  test('a handshake that is none closes the connection, once', async () => {
    const recorder = new Recorder();
    const { accepted, peer } = await accept(recorder);
    secureServerTransport(accepted, { secureContext: tls.createSecureContext(identity) });
    peer.write('GET / HTTP/1.0\r\n\r\n');
    await recorder.until(() => recorder.closes.length > 0);
    await pause(20);
    expect(recorder.closes).toHaveLength(1);
    expect(recorder.chunks).toHaveLength(0);
  });

  test('towards a server: encrypted once the certificate is accepted', async () => {
    const recorder = new Recorder();
    const { transport, peer } = await connect(recorder);
    const server = new tls.TLSSocket(peer, { isServer: true, ...identity });
    const received: Buffer[] = [];
    server.on('data', (chunk) => received.push(chunk));
    let secure!: SocketTransport;
    await new Promise<void>((resolve) => {
      secure = secureClientTransport(
        transport,
        { ca: CERTIFICATE, checkServerIdentity: () => undefined },
        resolve,
      );
    });
    expect(secure.peerCertificateName()).toBe('test-a');
    secure.write(Buffer.from('secret'));
    server.write('answer');
    await recorder.until(() => recorder.bytes.toString() === 'answer');
    while (Buffer.concat(received).length < 6) await pause(5);
    expect(Buffer.concat(received).toString()).toBe('secret');
  });

  test('a certificate that nobody vouches for: closed with the reason', async () => {
    const recorder = new Recorder();
    const { transport, peer } = await connect(recorder);
    const server = new tls.TLSSocket(peer, { isServer: true, ...identity });
    server.on('error', () => {
      // The client hangs up on it.
    });
    let connected = false;
    secureClientTransport(transport, { rejectUnauthorized: true }, () => {
      connected = true;
    });
    await recorder.until(() => recorder.closes.length > 0);
    expect(recorder.closes).toHaveLength(1);
    expect((recorder.closes[0] as NodeJS.ErrnoException).code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(connected).toBe(false);
  });
});

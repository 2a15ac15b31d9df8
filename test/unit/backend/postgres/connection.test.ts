import { afterEach, describe, expect, test } from 'vitest';
import { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import { CAPTURE, DROP, Expect, PASS } from '../../../../src/backend/postgres/expected-replies.js';
import { loginToBackend } from '../../../../src/backend/postgres/login.js';
import { PreparedTexts } from '../../../../src/backend/postgres/prepared-text.js';
import { pause } from '../../net/loopback.js';
import { int32, message } from '../../protocol/messages.js';
import { FakeServer, type FakeConnection } from '../fake-server.js';
import { RecordingSink } from './recording-sink.js';
import { replies } from './replies.js';
import { shard } from './scripted-transport.js';

const servers: FakeServer[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A backend over a loopback connection to a server that runs this script behind its login. */
async function connect(
  serve: (connection: FakeConnection) => Promise<void> | void,
  preparedMax = 100,
): Promise<{
  backend: BackendConnection;
  sink: RecordingSink;
  server: FakeServer;
  peer: FakeConnection;
}> {
  const server = await FakeServer.start(serve);
  servers.push(server);
  const sink = new RecordingSink();
  const login = await loginToBackend('s0', server.address, {}, 2000);
  const backend = new BackendConnection(shard, server.address, login, preparedMax, sink);
  return { backend, sink, server, peer: server.connections[0]! };
}

/** Waits for one query, then sends these bytes. */
function once(...answer: readonly Buffer[]) {
  return async (connection: FakeConnection): Promise<void> => {
    await connection.next();
    connection.send(...answer);
  };
}

async function query(
  serve: (connection: FakeConnection) => Promise<void> | void,
  action: typeof PASS | typeof CAPTURE | typeof DROP = PASS,
): Promise<{ backend: BackendConnection; sink: RecordingSink }> {
  const connected = await connect(serve);
  connected.backend.query('select 1', action);
  connected.backend.flush();
  await connected.sink.until(
    () => connected.sink.statuses.length + connected.sink.closes.length > 0,
  );
  return connected;
}

const answer = [
  replies.rowDescription,
  replies.row('one'),
  replies.notice('hm'),
  replies.row('two'),
  replies.parameter('TimeZone', 'UTC'),
  replies.complete('SELECT 2'),
];
const whole = Buffer.concat([...answer, replies.ready()]).toString('latin1');

describe('an answer that the client gets', () => {
  test('passes untouched, in one chunk', async () => {
    const { sink, backend } = await query(once(...answer, replies.ready()));
    expect(sink.passed).toBe(whole);
    expect(sink.statuses).toEqual(['I0']);
    expect(backend.quiet).toBe(true);
    expect(backend.parameters.get('TimeZone')).toBe('UTC');
    expect(backend.parameters.get('server_version')).toBe('18.0');
  });

  test('passes untouched, byte by byte', async () => {
    const { sink } = await query(async (connection) => {
      await connection.next();
      await connection.sendByteByByte(...answer, replies.ready());
    });
    expect(sink.passed).toBe(whole);
    expect(sink.statuses).toEqual(['I0']);
  });

  test('ReadyForQuery cut at each byte', async () => {
    const bytes = Buffer.concat([replies.complete('SELECT 0'), replies.ready('T')]);
    const serve = async (connection: FakeConnection): Promise<void> => {
      for (let cut = bytes.length - 6; cut < bytes.length; cut++) {
        await connection.next();
        connection.send(bytes.subarray(0, cut));
        await pause(3);
        connection.send(bytes.subarray(cut));
      }
    };
    const { backend, sink } = await connect(serve);
    for (let round = 1; round <= 6; round++) {
      backend.query('select', PASS);
      backend.flush();
      await sink.until(() => sink.statuses.length === round);
      expect(sink.passed).toBe(bytes.toString('latin1').repeat(round));
    }
    expect(backend.status).toBe(0x54);
  });

  test('waits while the client is slow, and loses nothing', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => replies.row(`row ${i} ${'x'.repeat(200)}`));
    const end = [replies.complete('SELECT 3000'), replies.ready()];
    const { backend, sink } = await connect(once(...rows, ...end));
    sink.takes = () => false;
    backend.query('select', PASS);
    backend.flush();
    let calls = 0;
    while (sink.statuses.length === 0) {
      await sink.until(() => sink.calls.length > calls);
      await pause(1);
      calls = sink.calls.length;
      backend.resumeReading();
      expect(calls).toBeLessThan(5000);
    }
    expect(sink.passed.length).toBe(Buffer.concat([...rows, ...end]).length);
    expect(sink.passed.endsWith('Z\0\0\0\x05I')).toBe(true);
  });
});

describe('injected requests', () => {
  test('their answers are dropped, those of the client pass, our own stand in their place', async () => {
    const { backend, sink } = await connect(async (connection) => {
      while ((await connection.next()).type !== 'S');
      connection.send(
        replies.complete('BEGIN'),
        replies.ready('T'),
        replies.parseComplete,
        replies.bindComplete,
        replies.row('1'),
        replies.complete('SELECT 1'),
        replies.ready('T'),
      );
    });
    const text = new PreparedTexts().intern(Buffer.from('select 1\0\0\0'), '');
    backend.query('BEGIN', DROP);
    backend.synthesize(Buffer.from('<begin>'));
    backend.statements.parse(text, DROP);
    backend.expect(Expect.bind, PASS);
    backend.synthesize(Buffer.from('<described>'));
    backend.expect(Expect.execute, PASS);
    backend.sync(PASS);
    backend.flush();
    await sink.until(() => sink.statuses.length === 2);
    const expected = [
      replies.bindComplete,
      Buffer.from('<described>'),
      replies.row('1'),
      replies.complete('SELECT 1'),
      replies.ready('T'),
    ];
    expect(sink.passed).toBe(`<begin>${Buffer.concat(expected).toString('latin1')}`);
    expect(text.validated).toBe(true);
  });

  test('captured rows go to the merger, the rest message by message', async () => {
    const { sink } = await query(once(...answer, replies.ready()), CAPTURE);
    expect(sink.passed).toBe('');
    expect(sink.capturedTypes).toBe('TNSC');
    expect(sink.capturedBytes).toBe(
      Buffer.concat([replies.row('one'), replies.row('two')]).toString('latin1'),
    );
    expect(sink.statuses).toEqual(['I2']);
  });
});

describe('errors', () => {
  test('void everything up to Sync', async () => {
    const { backend, sink } = await connect(async (connection) => {
      while ((await connection.next()).type !== 'S');
      connection.send(replies.error('42601'), replies.ready());
    });
    const texts = new PreparedTexts();
    const [first, second] = ['a', 'b'].map((sql) => texts.intern(Buffer.from(`${sql}\0\0\0`), ''));
    backend.statements.parse(first!, PASS);
    backend.statements.parseUnnamed(second!, PASS);
    backend.synthesize(Buffer.from('<own>'));
    backend.expect(Expect.execute, PASS);
    backend.sync(PASS);
    backend.flush();
    await sink.until(() => sink.statuses.length > 0);
    expect(sink.failures).toEqual(['42601']);
    expect(sink.passed).toBe(
      Buffer.concat([replies.error('42601'), replies.ready()]).toString('latin1'),
    );
    expect(backend.statements.knows(first!)).toBe(false);
    expect(backend.statements.unnamed).toBeNull();
    expect(first!.validated).toBe(false);
    expect(backend.quiet).toBe(true);
  });

  test('without SQLSTATE', async () => {
    const { sink } = await query(once(message('E', 'Mwhat\0\0'), replies.ready()));
    expect(sink.failures).toEqual(['']);
    expect(sink.statuses).toEqual(['I0']);
  });

  test('that nobody asked for are the reason of the close behind them', async () => {
    const { backend, sink } = await connect(async (connection) => {
      await pause(5);
      connection.send(message('E', 'SFATAL\0C57P01\0Mterminating\0Hwait\0\0'));
      connection.socket.end();
    });
    await sink.until(() => sink.closes.length > 0);
    expect(sink.closes[0]).toMatchObject({
      state: 'connection_failure',
      message: 'terminating',
      shard: 's0',
    });
    expect(sink.failures).toEqual([]);
    expect(sink.passed).toBe('');
    expect(backend.alive).toBe(false);
  });

  test('the connection breaks in the middle of an answer', async () => {
    const { sink } = await query(async (connection) => {
      await connection.next();
      connection.send(replies.rowDescription, replies.row('x').subarray(0, 6));
      await pause(5);
      connection.socket.resetAndDestroy();
    });
    expect(sink.closes).toHaveLength(1);
    expect(sink.closes[0]!.toSqlError().code).toBe('08006');
    expect(sink.passed).toBe(
      Buffer.concat([replies.rowDescription, replies.row('x').subarray(0, 6)]).toString('latin1'),
    );
  });
});

describe('a server that does not follow the protocol is cut off', () => {
  test.each([
    ['a type that does not exist', message('?', 'x')],
    ['CopyBothResponse', message('W', '\0', 0)],
    ['an authentication request', message('R', int32(3))],
    ['BackendKeyData', message('K', int32(1), int32(2))],
    ['ParseComplete that nobody waits for', replies.parseComplete],
    ['BindComplete that nobody waits for', replies.bindComplete],
    ['CloseComplete that nobody waits for', replies.closeComplete],
    ['length 0', Buffer.from('C\0\0\0\0', 'latin1')],
    ['length 3', Buffer.from('C\0\0\0\x03', 'latin1')],
    ['a negative length', Buffer.from('D\xff\xff\xff\xff', 'latin1')],
    ['a row of 2 GB', Buffer.from('D\x7f\xff\xff\xff', 'latin1')],
    ['a notice of 1 GB', Buffer.from('N\x3f\xff\xff\xf0', 'latin1')],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('%s', async (_name, bytes) => {
    const { sink, backend } = await query(once(bytes));
    expect(sink.closes.map((error) => error.state)).toEqual(['connection_failure']);
    expect(sink.closes[0]!.message).toMatch(/^protocol violation: /);
    expect(sink.statuses).toEqual([]);
    expect(backend.alive).toBe(false);
  });

  test.each([
    ['ReadyForQuery', replies.ready()],
    ['CommandComplete', replies.complete('SELECT 1')],
    ['RowDescription', replies.rowDescription],
  ])('%s while idle', async (_name, bytes) => {
    const { sink } = await connect(async (connection) => {
      await pause(5);
      connection.send(bytes);
    });
    await sink.until(() => sink.closes.length > 0);
    expect(sink.passed).toBe('');
    expect(sink.closes[0]!.message).toMatch(/^protocol violation: /);
  });

  test('notices, notifications and parameters while idle are no violation, and reach no client', async () => {
    const { backend, sink } = await connect(async (connection) => {
      await pause(5);
      connection.send(
        replies.notice('a'),
        replies.notification,
        replies.parameter('TimeZone', 'UTC'),
      );
      await connection.next();
      connection.send(replies.complete('SELECT 0'), replies.ready());
    });
    while (backend.parameters.get('TimeZone') === undefined) await pause(2);
    backend.query('select', PASS);
    backend.flush();
    await sink.until(() => sink.statuses.length > 0);
    expect(sink.passed).toBe(
      Buffer.concat([replies.complete('SELECT 0'), replies.ready()]).toString('latin1'),
    );
  });
});

describe('COPY', () => {
  test('copy data of a client goes through, and can be broken off', async () => {
    const { backend, sink, peer } = await connect(async (connection) => {
      await connection.next();
      connection.send(replies.copyIn);
      while ((await connection.next()).type !== 'f');
      connection.send(replies.error('57014'), replies.ready());
    });
    backend.query('copy t from stdin', PASS);
    backend.flush();
    await sink.until(() => sink.calls.includes('copyInStarted'));
    expect(backend.copyingIn).toBe(true);
    backend.writeThrough(replies.copyData('1\n'));
    backend.failCopy('gone');
    backend.flush();
    await sink.until(() => sink.statuses.length > 0);
    expect(backend.copyingIn).toBe(false);
    expect(sink.failures).toEqual(['57014']);
    expect(peer.log.slice(2)).toEqual(['d 1', 'f gone']);
  });

  test('copy data of a server passes like rows', async () => {
    const bytes = [
      replies.copyOut,
      replies.copyData('1\n'),
      replies.copyData('2\n'),
      replies.copyDone,
      replies.complete('COPY 2'),
      replies.ready(),
    ];
    const { sink } = await query(once(...bytes));
    expect(sink.passed).toBe(Buffer.concat(bytes).toString('latin1'));
  });
});

describe('prepared statements', () => {
  test('beyond the limit the least recently used one is closed', async () => {
    const { backend, sink, peer } = await connect(async (connection) => {
      for (;;) {
        const { type } = await connection.next();
        if (type === 'P') connection.send(replies.parseComplete);
        if (type === 'C') connection.send(replies.closeComplete);
        if (type === 'S') connection.send(replies.ready());
      }
    }, 2);
    const texts = new PreparedTexts();
    const [a, b, c] = ['a', 'b', 'c'].map((sql) => texts.intern(Buffer.from(`${sql}\0\0\0`), ''));
    backend.statements.parse(a!, PASS);
    backend.statements.parse(b!, PASS);
    backend.statements.touch(a!);
    backend.statements.parse(c!, PASS);
    backend.sync(PASS);
    backend.flush();
    await sink.until(() => sink.statuses.length > 0);
    const name = (text: { name: Buffer }): string => text.name.toString();
    expect(peer.log.filter((line) => line.startsWith('C'))).toEqual([`C S${name(b!)}`]);
    expect([a, b, c].map((text) => backend.statements.knows(text!))).toEqual([true, false, true]);
    expect(sink.passed).toBe(`${'1\0\0\0\x04'.repeat(3)}Z\0\0\0\x05I`);
  });

  test('a simple query destroys the unnamed statement', async () => {
    const { backend, sink } = await connect(
      once(replies.parseComplete, replies.complete('X'), replies.ready()),
    );
    const text = new PreparedTexts().intern(Buffer.from('a\0\0\0'), '');
    backend.statements.parseUnnamed(text, PASS);
    expect(backend.statements.unnamed).toBe(text);
    backend.query('select', PASS);
    backend.flush();
    await sink.until(() => sink.statuses.length > 0);
    expect(backend.statements.unnamed).toBeNull();
  });

  test('equal texts are one, in one context', () => {
    const texts = new PreparedTexts();
    const rest = Buffer.from('select 1\0\0\0');
    const text = texts.intern(rest, 'a');
    rest.fill(0x78);
    expect(text.parseRest.toString()).toBe('select 1\0\0\0');
    expect(texts.intern(Buffer.from('select 1\0\0\0'), 'a')).toBe(text);
    expect(texts.intern(Buffer.from('select 1\0\0\0'), 'b')).not.toBe(text);
    expect(texts.intern(Buffer.from('select 2\0\0\0'), 'a').name).not.toEqual(text.name);
  });
});

test('a cancel request names the backend; who waits for it is told when the server has it', async () => {
  const { backend, server } = await connect(() => {
    // Runs for ever.
  });
  let delivered = false;
  let arrived!: () => void;
  const reached = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let letGo!: () => void;
  server.onCancel = () => {
    arrived();
    return new Promise((resolve) => {
      letGo = resolve;
    });
  };
  backend.cancel();
  backend.cancels.whenDelivered(() => {
    delivered = true;
  });
  await reached;
  await pause(10);
  expect(delivered).toBe(false);
  letGo();
  while (!delivered) await pause(2);
  expect(server.cancels).toEqual([backend.pid]);
  let atOnce = false;
  backend.cancels.whenDelivered(() => {
    atOnce = true;
  });
  expect(atOnce).toBe(true);
});

test('terminating says goodbye, and the sink hears no more', async () => {
  const { backend, sink, peer } = await connect(async (connection) => {
    await connection.next();
    connection.socket.end();
  });
  backend.terminate();
  while (!peer.log.includes('X')) await pause(2);
  await pause(20);
  expect(sink.calls).toEqual([]);
  expect(backend.alive).toBe(false);
});

import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { BackendError } from '../../../../src/backend/backend-error.js';
import {
  cancelBackend,
  loginToBackend,
  type BackendLogin,
} from '../../../../src/backend/postgres/login.js';
import type { ServerAddress } from '../../../../src/config/config.js';
import { makeVerifier, md5Response, ScramServer } from '../../../../src/protocol/scram.js';
import { CERTIFICATE, KEY, OTHER_CERTIFICATE } from '../../config/tls-pair.js';
import { listen, pause } from '../../net/loopback.js';
import { int32, message } from '../../protocol/messages.js';
import { FakeConnection, FakeServer } from '../fake-server.js';
import { replies } from './replies.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const authentication = (code: number, content: string | Buffer = ''): Buffer =>
  message('R', int32(code), content);

/** Logs in to a server that runs this script; answers the login, or the message of the error. */
async function login(
  script: (connection: FakeConnection) => Promise<void> | void,
  address: Partial<ServerAddress> = {},
  timeoutMs = 2000,
): Promise<BackendLogin | string> {
  const server = await FakeServer.start(() => {
    // Nothing behind the login.
  }, script);
  cleanups.push(() => {
    server.close();
  });
  return attempt({ ...server.address, ...address }, timeoutMs);
}

async function attempt(address: ServerAddress, timeoutMs = 2000): Promise<BackendLogin | string> {
  try {
    const settings = { application_name: 'test', options: '-c a=b' };
    const result = await loginToBackend('s1', address, settings, timeoutMs);
    cleanups.push(() => {
      result.transport.destroy();
    });
    return result;
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    const failure = error as BackendError;
    expect(failure).toMatchObject({ shard: 's1', state: 'sqlclient_unable_to_establish' });
    expect(failure.toSqlError()).toMatchObject({ code: '08001' });
    return failure.message;
  }
}

describe('methods', () => {
  test('trust: parameters, process id and secret', async () => {
    let startup = '';
    const result = await login((connection) => {
      startup = connection.log[0]!;
      connection.welcome();
    });
    expect(result).toMatchObject({ pid: 100, secret: int32(700) });
    expect((result as BackendLogin).parameters).toEqual(new Map([['server_version', '18.0']]));
    for (const part of ['user app', 'database shop', 'application_name test', 'options -c a=b']) {
      expect(startup).toContain(part);
    }
    expect(startup).not.toContain('secret');
  });

  test('protocol 3.2 is asked for, whose cancel keys are long', async () => {
    const secret = Buffer.alloc(32, 7);
    const result = await login((connection) => {
      expect(connection.log[0]).toMatch(/^startup  \x03 \x02user app/);
      connection.send(authentication(0), message('K', int32(5), secret), replies.ready());
    });
    expect(result).toMatchObject({ pid: 5, secret });
  });

  test('a server that speaks 3.0 only may say so', async () => {
    const result = await login((connection) => {
      connection.send(message('v', int32(3 << 16), int32(0)));
      connection.welcome();
    });
    expect(result).toMatchObject({ pid: 100 });
  });

  test.each([
    ['a newer version', message('v', int32((3 << 16) | 3), int32(0))],
    ['the version that it was asked for', message('v', int32((3 << 16) | 2), int32(0))],
    ['protocol 2', message('v', int32(2 << 16), int32(0))],
    [
      'an option that nobody named',
      message('v', int32(3 << 16), int32(1), Buffer.from('_pq_.x\0')),
    ],
    ['half a message', message('v', int32(3 << 16))],
  ])('a server may not want %s', async (_what, answer) => {
    expect(
      await login((connection) => {
        connection.send(answer);
        connection.welcome();
      }),
    ).toMatch(/version of the protocol that it was not asked for/);
  });

  test.each([0, 3, 257])('a cancel key of %s bytes is none', async (bytes) => {
    expect(
      await login((connection) => {
        const key = message('K', int32(5), Buffer.alloc(bytes));
        connection.send(authentication(0), key, replies.ready());
      }),
    ).toMatch(/does not follow the login protocol/);
  });

  test('a server that writes byte by byte', async () => {
    const result = await login((connection) =>
      connection.sendByteByByte(
        authentication(0),
        replies.notice('hello'),
        message('K', int32(5), int32(6)),
        replies.ready(),
      ),
    );
    expect(result).toMatchObject({ pid: 5, secret: int32(6) });
  });

  test('password in clear', async () => {
    let sent = '';
    const result = await login(async (connection) => {
      connection.send(authentication(3));
      sent = (await connection.next()).body.toString();
      connection.welcome();
    });
    expect(result).toMatchObject({ pid: 100 });
    expect(sent).toBe('secret\0');
  });

  test('md5', async () => {
    const salt = Buffer.from([1, 0, 255, 4]);
    let sent = '';
    const result = await login(async (connection) => {
      connection.send(authentication(5, salt));
      sent = (await connection.next()).body.toString();
      connection.welcome();
    });
    expect(result).toMatchObject({ pid: 100 });
    expect(sent).toBe(`${md5Response('app', 'secret', salt)}\0`);
  });

  test('SCRAM-SHA-256', async () => {
    let accepted = false;
    const result = await login(async (connection) => {
      accepted = await scram(connection, 'secret');
      connection.welcome();
    });
    expect(accepted).toBe(true);
    expect(result).toMatchObject({ pid: 100 });
  });

  test('a server that does not ask for the password at all, though there is one', async () => {
    expect(
      await login(
        (connection) => {
          connection.welcome();
        },
        { password: null },
      ),
    ).toMatchObject({ pid: 100 });
  });

  test.each([3, 5, 10])('method %i without a password in the URL', async (code) => {
    const content = code === 5 ? 'salt' : code === 10 ? 'SCRAM-SHA-256\0\0' : '';
    const result = await login(
      (connection) => {
        connection.send(authentication(code, content));
      },
      { password: null },
    );
    expect(result).toBe('the server asks for a password, but the URL of shard "s1" has none');
  });

  test.each([
    ['Kerberos', authentication(2)],
    ['GSSAPI', authentication(7)],
    ['a code that does not exist', authentication(99)],
    ['md5 with a salt of two bytes', authentication(5, 'ab')],
    ['no code', message('R')],
    ['SCRAM going on before it began', authentication(11, 'r=x,s=AAAA,i=1')],
    ['SCRAM ending before it began', authentication(12, 'v=x')],
  ])('%s is not supported', async (_name, bytes) => {
    const result = await login((connection) => {
      connection.send(bytes);
    });
    expect(result).toMatch(/^the server asks for an authentication method that is not supported/);
  });
});

/** The server's side of SCRAM with this password; `change` falsifies what it sends. */
async function scram(
  connection: FakeConnection,
  password: string,
  change: (message: string) => string = (text) => text,
): Promise<boolean> {
  const server = new ScramServer(await makeVerifier(password, Buffer.alloc(16, 1), 10));
  connection.send(authentication(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0'));
  const first = (await connection.next()).body;
  const nameEnd = first.indexOf(0);
  expect(first.toString('latin1', 0, nameEnd)).toBe('SCRAM-SHA-256');
  expect(first.readInt32BE(nameEnd + 1)).toBe(first.length - nameEnd - 5);
  connection.send(authentication(11, change(server.first(first.toString('latin1', nameEnd + 5)))));
  const final = server.final((await connection.next()).body.toString('latin1'));
  connection.send(authentication(12, change(final ?? 'v=none')));
  return final !== null;
}

describe('SCRAM towards a server that cannot be trusted', () => {
  const prove = 'the server could not prove that it knows the password';

  test('it does not know the password', async () => {
    const result = await login(async (connection) => {
      await scram(connection, 'other');
      connection.welcome();
    });
    expect(result).toBe(prove);
  });

  test('it leaves its proof out', async () => {
    const result = await login(async (connection) => {
      connection.send(authentication(10, 'SCRAM-SHA-256\0\0'));
      await connection.next();
      connection.welcome();
    });
    expect(result).toBe('the server ended the SCRAM exchange without its proof');
  });

  test('its proof is of something else', async () => {
    const result = await login(async (connection) => {
      await scram(connection, 'secret', (text) =>
        text.startsWith('v=') ? `v=${'A'.repeat(43)}=` : text,
      );
    });
    expect(result).toBe(prove);
  });

  test.each([
    [
      'a million and one iterations',
      (text: string) => text.replace('i=10', 'i=1000001'),
      /iterations/,
    ],
    ['iterations without end', (text: string) => `${text}${'0'.repeat(50)}`, /malformed/],
    ['a nonce of its own', (text: string) => text.replace('r=', 'r=x'), /nonce/],
    [
      'a nonce of a megabyte',
      (text: string) => text.replace(',s=', `${'x'.repeat(60_000)},s=`),
      /oversized/,
    ],
    ['nonsense', () => '\0\xff', /malformed/],
  ])('%s', async (_name, change, reason) => {
    expect(
      await login(async (connection) => {
        await scram(connection, 'secret', change);
      }),
    ).toMatch(reason);
  });

  test.each(['SCRAM-SHA-1\0\0', 'SCRAM-SHA-256-PLUS\0\0', '\0', ''])(
    'it offers %j only',
    async (mechanisms) => {
      expect(
        await login((connection) => {
          connection.send(authentication(10, mechanisms));
        }),
      ).toBe('the server offers no SASL mechanism that is supported');
    },
  );
});

test('what comes behind the first ReadyForQuery is not lost, whole or cut off', async () => {
  const notice = replies.notice('hello');
  const result = await login((connection) => {
    connection.send(authentication(0), message('K', int32(1), int32(2)), replies.ready());
  });
  expect((result as BackendLogin).rest).toHaveLength(0);
  for (const length of [3, notice.length, notice.length + 4]) {
    const bytes = Buffer.concat([notice, notice]).subarray(0, length);
    const followed = await login((connection) => {
      connection.send(authentication(0), replies.ready(), bytes);
    });
    expect((followed as BackendLogin).rest.equals(bytes)).toBe(true);
  }
});

describe('refused and broken logins', () => {
  test('the server says why', async () => {
    const result = await login((connection) => {
      connection.send(replies.error('28P01', 'password authentication failed'));
    });
    expect(result).toMatch(/^password authentication failed \(127\.0\.0\.1:\d+\)$/);
  });

  test('an error without anything in it', async () => {
    expect(
      await login((connection) => {
        connection.send(message('E'));
      }),
    ).toMatch(/^the server refused the login/);
  });

  test('the connection closes in the middle', async () => {
    const result = await login((connection) => {
      connection.send(authentication(0).subarray(0, 6));
      connection.socket.end();
    });
    expect(result).toMatch(/^connection closed during login/);
  });

  test('nobody listens', async () => {
    const server = net.createServer();
    const port = await listen(server);
    server.close();
    await pause(5);
    const fake = await FakeServer.start();
    fake.close();
    expect(await attempt({ ...fake.address, port })).toMatch(/ECONNREFUSED/);
  });

  test('silence ends in time', async () => {
    const start = performance.now();
    const result = await login(
      async () => {
        await pause(10_000);
      },
      {},
      60,
    );
    expect(result).toMatch(/^no login within 60 ms at 127\.0\.0\.1:\d+$/);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('a server that never comes to the end is cut off in time', async () => {
    const result = await login(
      async (connection) => {
        while (!connection.socket.destroyed) {
          connection.send(authentication(0), replies.notice('wait'));
          await pause(5);
        }
      },
      {},
      80,
    );
    expect(result).toMatch(/^no login within 80 ms/);
  });

  test.each([
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /Postgres protocol/],
    ['length 0', Buffer.from('R\0\0\0\0\0\0\0\0', 'latin1'), /Postgres protocol/],
    ['length -1', Buffer.from('R\xff\xff\xff\xff', 'latin1'), /Postgres protocol/],
    ['a message of 100 KB', Buffer.from('R\0\x01\xff\xff', 'latin1'), /Postgres protocol/],
    ['ReadyForQuery before any authentication', replies.ready(), /login protocol/],
    ['rows', replies.row('x'), /login protocol/],
    ['BackendKeyData without a key', message('K'), /login protocol/],
  ])('%s', async (_name, bytes, reason) => {
    expect(
      await login((connection) => {
        connection.send(bytes);
      }),
    ).toMatch(reason);
  });

  test('random bytes end in an error, never in an exception', async () => {
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(
        Array.from({ length: 200 }, (_, i) => (round * 131 + i * i * 7) & 255),
      );
      bytes[0] = 'REKSZNv'.charCodeAt(round % 7);
      bytes.writeInt32BE((round * 37) % 120, 1);
      const result = await login(
        (connection) => {
          connection.send(bytes);
          connection.socket.end();
        },
        {},
        500,
      );
      expect(result).toBeTypeOf('string');
    }
  });
});

describe('TLS', () => {
  /** Answers the request for TLS with these bytes; then, where it agreed, with TLS. */
  function offering(answer: string, encrypted: boolean) {
    return async (connection: FakeConnection): Promise<void> => {
      connection.send(Buffer.from(answer, 'latin1'));
      if (!encrypted) {
        await connection.next();
        connection.welcome();
        return;
      }
      connection.socket.removeAllListeners('data');
      const socket = new tls.TLSSocket(connection.socket, {
        isServer: true,
        cert: CERTIFICATE,
        key: KEY,
      });
      const secure = new FakeConnection(socket, 9);
      await secure.next();
      secure.welcome();
    };
  }

  test('is used where it is offered', async () => {
    for (const sslmode of ['prefer', 'require'] as const) {
      expect(await login(offering('S', true), { sslmode })).toMatchObject({
        pid: 9,
        secret: int32(63),
      });
    }
  });

  test('the certificate is checked as sslmode says', async () => {
    const sslRootCert = CERTIFICATE;
    for (const sslmode of ['verify-ca', 'require'] as const) {
      const authority = { sslmode, sslRootCert };
      expect(await login(offering('S', true), authority)).toMatchObject({ pid: 9 });
      const stranger = { sslmode, sslRootCert: OTHER_CERTIFICATE };
      expect(await login(offering('S', true), stranger)).toMatch(/self-signed/);
    }
    expect(await login(offering('S', true), { sslmode: 'verify-ca' })).toMatch(/self-signed/);
    const full = await login(offering('S', true), { sslmode: 'verify-full', sslRootCert });
    expect(full).toMatch(/does not match certificate/);
  });

  test('is not insisted on with prefer', async () => {
    expect(await login(offering('N', false), { sslmode: 'prefer' })).toMatchObject({ pid: 100 });
  });

  test.each(['require', 'verify-ca', 'verify-full'] as const)(
    'a server without it is no server for %s',
    async (sslmode) => {
      expect(await login(offering('N', false), { sslmode })).toBe(
        `the server does not offer TLS, but sslmode is ${sslmode}`,
      );
    },
  );

  test.each(['S\x15', `S${replies.ready().toString('latin1')}`])(
    'bytes stuffed behind the answer: somebody is in between',
    async (answer) => {
      expect(await login(offering(answer, false), { sslmode: 'prefer' })).toBe(
        'unencrypted bytes behind the answer to the TLS request: somebody is in between',
      );
    },
  );

  test.each(['N\0', 'E', 'X', 'HTTP/1.0'])('%j is no answer', async (answer) => {
    expect(await login(offering(answer, false), { sslmode: 'prefer' })).toMatch(
      /does not offer TLS/,
    );
  });

  test('a server that agrees and then speaks no TLS', async () => {
    const script = async (connection: FakeConnection): Promise<void> => {
      connection.send(Buffer.from('S'));
      await pause(10);
      connection.welcome();
    };
    expect(await login(script, { sslmode: 'require' })).toMatch(/127\.0\.0\.1/);
  });

  test('a server that agrees and then says nothing', async () => {
    const script = (connection: FakeConnection): void => {
      connection.send(Buffer.from('S'));
    };
    expect(await login(script, { sslmode: 'require' }, 80)).toMatch(/^no login within 80 ms/);
  });
});

describe('cancel requests', () => {
  test('carry process id and secret, and end when the server closes', async () => {
    const server = await FakeServer.start();
    cleanups.push(() => {
      server.close();
    });
    await cancelBackend(server.address, 4711, int32(5), 1000);
    expect(server.cancels).toEqual([4711]);
  });

  test('carry no secret in clear where the URL asks for TLS', async () => {
    const received: string[] = [];
    const server = net.createServer((socket) => {
      socket.on('data', (chunk) => {
        received.push(chunk.toString('hex'));
        socket.write('N');
      });
    });
    const port = await listen(server);
    const fake = await FakeServer.start();
    fake.close();
    await cancelBackend({ ...fake.address, port, sslmode: 'require' }, 1, int32(2), 500);
    server.close();
    expect(received).toEqual(['0000000804d2162f']);
  });

  test('never fail: nobody listens, or the server hangs', async () => {
    const server = await FakeServer.start();
    cleanups.push(() => {
      server.close();
    });
    server.onCancel = () => pause(10_000);
    const start = performance.now();
    await cancelBackend(server.address, 1, int32(2), 50);
    await cancelBackend({ ...server.address, port: 1 }, 1, int32(2), 50);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

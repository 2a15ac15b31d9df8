import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  equalSecrets,
  makeVerifier,
  md5Response,
  mockVerifier,
  parseVerifier,
  ScramClient,
  ScramError,
  ScramServer,
  type ScramVerifier,
} from '../../../src/protocol/scram.js';
import { pgSasl } from './pg-sasl.js';

const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');

/** The verifier of RFC 7677's example: user "user", password "pencil". */
const pencil = await makeVerifier('pencil', SALT, 4096);

/** The nonce of a client-first-message. */
const nonceOf = (message: string): string => /r=([^,]*)/.exec(message)![1]!;

/** One whole login; answers what the server says last. */
async function login(client: ScramClient, verifier: ScramVerifier): Promise<string | null> {
  const server = new ScramServer(verifier);
  return server.final(await client.final(server.first(client.first())));
}

describe('channel binding', () => {
  const channel = Buffer.alloc(32, 7);
  const other = Buffer.alloc(32, 8);
  const exchange = async (client: ScramClient, server: ScramServer, plus: boolean) => {
    const answer = server.final(await client.final(server.first(client.first(), plus)));
    client.verify(answer!);
  };

  test('both ends of one channel agree', async () => {
    await exchange(new ScramClient('pencil', channel), new ScramServer(pencil, channel), true);
  });

  test('with somebody in between, who has a channel to each, they do not', async () => {
    const through = exchange(
      new ScramClient('pencil', other),
      new ScramServer(pencil, channel),
      true,
    );
    await expect(through).rejects.toMatchObject({ kind: 'binding', message: /check failed/ });
  });

  test('a client that could bind notices nothing of our offer: somebody took it away', async () => {
    const client = new ScramClient('pencil', 'unbound');
    await exchange(client, new ScramServer(pencil), false);
    const downgraded = exchange(client, new ScramServer(pencil, channel), false);
    await expect(downgraded).rejects.toMatchObject({
      kind: 'binding',
      message: /negotiation error/,
    });
  });

  test('a client that cannot bind is let in without', async () => {
    await exchange(new ScramClient('pencil'), new ScramServer(pencil, channel), false);
  });

  test.each([
    ['n,,n=,r=abc', true, /malformed/],
    ['y,,n=,r=abc', true, /malformed/],
    ['p=tls-server-end-point,,n=,r=abc', false, /malformed/],
    ['p=tls-unique,,n=,r=abc', true, /unsupported SCRAM channel-binding type/],
    ['p=,,n=,r=abc', true, /malformed/],
  ])('%s with mechanism PLUS %s is refused', (message, plus, reason) => {
    expect(() => new ScramServer(pencil, channel).first(message, plus)).toThrow(reason);
  });
});

describe('client and server', () => {
  test('the right password is accepted, and the server proves that it knows it', async () => {
    const client = new ScramClient('pencil');
    const answer = await login(client, pencil);
    expect(answer).toMatch(/^v=[A-Za-z0-9+/]{43}=$/);
    expect(() => {
      client.verify(answer!);
    }).not.toThrow();
  });

  test.each(['', 'Pencil', 'pencil ', 'pencilpencil'])(
    'password %j is refused',
    async (password) => {
      expect(await login(new ScramClient(password), pencil)).toBeNull();
    },
  );

  test('a mock verifier fits no password', async () => {
    const mock = mockVerifier('nobody', Buffer.alloc(32));
    for (const password of ['', 'nobody', 'pencil']) {
      expect(await login(new ScramClient(password), mock)).toBeNull();
    }
  });

  test('a mock exchange shows the same salt each time, and another one for another user', () => {
    const secret = Buffer.alloc(32, 1);
    const salt = (user: string): string => mockVerifier(user, secret).salt.toString('hex');
    expect(salt('ann')).toBe(salt('ann'));
    expect(salt('ann')).not.toBe(salt('bob'));
    expect(mockVerifier('ann', secret).salt).toHaveLength(16);
    expect(mockVerifier('ann', Buffer.alloc(32, 2)).salt.toString('hex')).not.toBe(salt('ann'));
    expect(mockVerifier('ann', secret).iterations).toBe(pencil.iterations);
  });

  test('every exchange has nonces of its own', () => {
    expect(new ScramClient('x').first()).not.toBe(new ScramClient('x').first());
    const first = 'n,,n=,r=abc';
    expect(new ScramServer(pencil).first(first)).not.toBe(new ScramServer(pencil).first(first));
  });

  test('an answer cannot be used in another exchange', async () => {
    const client = new ScramClient('pencil');
    const one = new ScramServer(pencil);
    const other = new ScramServer(pencil);
    const final = await client.final(one.first(client.first()));
    other.first(client.first());
    expect(() => other.final(final)).toThrow(ScramError);
    expect(one.final(final)).not.toBeNull();
  });
});

describe('RFC 7677, section 3', () => {
  const clientFirst = 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO';
  const serverNonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const serverFirst = `r=${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
  const proof = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
  const signature = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

  test('the server of the example accepts the proof and signs', () => {
    const server = new ScramServer(pencil);
    server.first(clientFirst);
    // Nonces are random: the example's is put in their place.
    Object.assign(server, { nonce: serverNonce, serverFirst });
    expect(server.final(`c=biws,r=${serverNonce},p=${proof}`)).toBe(signature);
  });
});

describe('against node-postgres', () => {
  test.each(['pencil', 'pässwörd', 'ﬁ\u00ad\u00a0x', 'x'.repeat(500), '😀', '\t!'])(
    'its client logs in to our server: %j',
    async (password) => {
      const server = new ScramServer(await makeVerifier(password));
      const session = pgSasl.startSession(['SCRAM-SHA-256']);
      await pgSasl.continueSession(session, password, server.first(session.response));
      const final = server.final(session.response);
      expect(final).not.toBeNull();
      pgSasl.finalizeSession(session, final!);
    },
  );

  test('its client with a wrong password is refused', async () => {
    const server = new ScramServer(pencil);
    const session = pgSasl.startSession(['SCRAM-SHA-256']);
    await pgSasl.continueSession(session, 'pen', server.first(session.response));
    expect(server.final(session.response)).toBeNull();
  });
});

describe('passwords are prepared as Postgres prepares them', () => {
  /** Password as typed, and the bytes that PBKDF2 gets (checked against PostgreSQL 18's pg_saslprep). */
  test.each([
    ['plain \x01 ASCII', 'plain \x01 ASCII'],
    ['a\u00a0b\u3000c\u200bd', 'a b c d'],
    ['I\u00adX\ufe0f\u200d', 'IX'],
    ['\u2168\u00aa', 'IXa'],
    // Prohibited: taken as it is.
    ['\u00aa\u0007', '\u00aa\u0007'],
    ['\u00aa\ue000', '\u00aa\ue000'],
    ['\u00ad', '\u00ad'],
  ])('%j', async (password, prepared) => {
    const verifier = await makeVerifier(password, SALT, 1);
    const salted = pbkdf2Sync(prepared, SALT, 1, 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    const storedKey = createHash('sha256').update(clientKey).digest();
    expect(verifier.storedKey.equals(storedKey)).toBe(true);
  });
});

describe('a server towards bad clients', () => {
  test.each([
    '',
    'n',
    'n,,',
    'n,,n=,r=',
    'n,,n=,r=abc,d',
    'n,,n=,r=abc,d=e,',
    'n,,r=abc',
    'n,,n=a,r=a b',
    'n,,m=x,n=a,r=abc',
    'x,,n=a,r=abc',
    'n,a=admin,n=a,r=abc',
    'p=tls-unique,,n=a,r=abc',
    'n,,n=a,r=ä',
    `n,,n=a,r=${'x'.repeat(5000)}`,
    '\0'.repeat(100),
  ])('client-first-message %j', (message) => {
    expect(() => new ScramServer(pencil).first(message)).toThrow(ScramError);
  });

  test('a client that could bind the channel but sees no offer is welcome', () => {
    const server = new ScramServer(pencil);
    server.first('y,,n=,r=abc');
    const nonce = nonceOf((server as unknown as { serverFirst: string }).serverFirst);
    expect(() => server.final(`c=biws,r=${nonce},p=${'A'.repeat(43)}=`)).toThrow(/channel-binding/);
    expect(server.final(`c=eSws,r=${nonce},p=${'A'.repeat(43)}=`)).toBeNull();
  });

  test('final messages that hold not what they should', () => {
    const server = new ScramServer(pencil);
    const nonce = nonceOf(server.first('n,,n=,r=abc'));
    const proof = `${'A'.repeat(43)}=`;
    for (const message of [
      '',
      `c=biws,r=${nonce}`,
      `c=biws,r=abc,p=${proof}`,
      `c=biws,r=${nonce}x,p=${proof}`,
      `c=biws,r=${nonce},x=1,p=${proof}`,
      `c=,r=${nonce},p=${proof}`,
      `r=${nonce},c=biws,p=${proof}`,
      `c=biws,r=${nonce},p=`,
      `c=biws,r=${nonce},p=AAAA`,
      `c=biws,r=${nonce},p=${'A'.repeat(88)}`,
      `c=biws,r=${nonce},p=${proof}\n`,
      'x'.repeat(100_000),
    ]) {
      expect(() => server.final(message)).toThrow(ScramError);
    }
    expect(server.final(`c=biws,r=${nonce},p=${proof}`)).toBeNull();
  });

  test('a message of another exchange, and a proof of another length, in the words of PostgreSQL', () => {
    const server = new ScramServer(pencil);
    const nonce = nonceOf(server.first('n,,n=,r=abc,d=e'));
    const proof = `${'A'.repeat(43)}=`;
    expect(() => server.final(`c=biws,r=abc,p=${proof}`)).toThrow(/^invalid SCRAM response$/);
    expect(() => server.final(`c=biws,r=${nonce},p=AAAA`)).toThrow(/^malformed SCRAM message$/);
  });

  test('a final message without a first one', () => {
    const server = new ScramServer(pencil);
    expect(() => server.final(`c=biws,r=a,p=${'A'.repeat(43)}=`)).toThrow(ScramError);
  });
});

describe('a client towards bad servers', () => {
  const first = (client: ScramClient, rest: string): string =>
    `r=${nonceOf(client.first())}${rest}`;

  test.each([
    ['no nonce of the server', ',s=AAAA,i=4096'],
    ['no salt', 'x,i=4096'],
    ['salt that is no base64', 'x,s=!,i=4096'],
    ['no iterations', 'x,s=AAAA'],
    ['zero iterations', 'x,s=AAAA,i=0'],
    ['negative iterations', 'x,s=AAAA,i=-1'],
    ['a million and one iterations', 'x,s=AAAA,i=1000001'],
    ['iterations beyond all numbers', 'x,s=AAAA,i=99999999999999999999'],
    ['more than there should be', 'x,s=AAAA,i=1,m=1'],
    ['a nonce without end', `${'x'.repeat(100_000)},s=AAAA,i=1`],
  ])('%s', async (_name, rest) => {
    const client = new ScramClient('pencil');
    const start = performance.now();
    await expect(client.final(first(client, rest))).rejects.toThrow(ScramError);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test('the nonce of another exchange', async () => {
    const client = new ScramClient('pencil');
    await expect(client.final('r=abcdef,s=AAAA,i=1')).rejects.toThrow(ScramError);
  });

  test('a proof before the exchange, or that the server made up', async () => {
    const client = new ScramClient('pencil');
    const verify = (message: string) => () => {
      client.verify(message);
    };
    const madeUp = `v=${'A'.repeat(43)}=`;
    expect(verify(madeUp)).toThrow(ScramError);
    await client.final(first(client, 'x,s=AAAA,i=1'));
    for (const message of [madeUp, '', 'v=', 'v=AAAA', 'e=other-error', 'x'.repeat(9999)]) {
      expect(verify(message)).toThrow(ScramError);
    }
  });
});

describe('verifiers as pg_authid holds them', () => {
  const text = `SCRAM-SHA-256$4096:${SALT.toString('base64')}$${pencil.storedKey.toString('base64')}:${pencil.serverKey.toString('base64')}`;

  test('reads one, and logs in with it', async () => {
    expect(parseVerifier(text)).toEqual(pencil);
    expect(await login(new ScramClient('pencil'), parseVerifier(text)!)).not.toBeNull();
  });

  test.each([
    '',
    'pencil',
    'md5a3556571e93b0d20722ba62be61e8c2d',
    text.slice(0, -4),
    `${text}x:`,
    text.replace('4096', '0'),
    text.replace('4096', '1000001'),
    text.replace('4096', '99999999'),
    text.replace('SCRAM-SHA-256', 'SCRAM-SHA-1'),
  ])('%j is none', (other) => {
    expect(parseVerifier(other)).toBeNull();
  });
});

describe('md5', () => {
  // What PostgreSQL answers to SELECT 'md5' || md5(md5('pencil' || 'ann') || 'salt').
  const response = 'md54933d913ee8ea3c8d73c6322de31508f';

  test('of a password and of its stored hash are the same', () => {
    const salt = Buffer.from('salt');
    expect(md5Response('ann', 'pencil', salt)).toBe(response);
    expect(md5Response('ann', 'md528754acffc5400623f44a44d30b50393', salt)).toBe(response);
    expect(md5Response('bob', 'pencil', salt)).not.toBe(response);
    expect(md5Response('ann', 'pencil', Buffer.from('tals'))).not.toBe(response);
  });
});

test('secrets compare whole, of any length', () => {
  expect(equalSecrets('a', 'a')).toBe(true);
  expect(equalSecrets('', '')).toBe(true);
  expect(equalSecrets('a', 'b')).toBe(false);
  expect(equalSecrets('a', 'aa')).toBe(false);
});

import { describe, expect, test } from 'vitest';
import type { AuthRule } from '../../../src/config/config.js';
import { Authentication, type AuthStep } from '../../../src/frontend/authentication.js';
import { makeVerifier, md5Response, ScramClient } from '../../../src/protocol/scram.js';
import { int32 } from '../protocol/messages.js';

interface Facts {
  readonly certificate?: string;
  readonly binding?: Buffer;
  readonly map?: AuthRule['map'];
  readonly clientCert?: AuthRule['clientCert'];
  readonly validUntil?: number;
}

function authentication(
  method: AuthRule['method'],
  user: string,
  users: Record<string, string | null>,
  facts: Facts = {},
): Authentication {
  const { map = null, clientCert = null, validUntil = null } = facts;
  const own = { databases: null, settings: new Map(), validUntil, maxClients: null };
  const more = { role: 'app', ...own } as const;
  const entries = Object.entries(users).map(
    ([name, password]) => [name, { name, password, ...more }] as const,
  );
  const everybody = { databases: [], users: [], addresses: [] };
  const rule: AuthRule = { type: 'host', ...everybody, method, map, clientCert };
  const auth = { method: 'trust', users: new Map(entries), rules: [rule] } as const;
  return new Authentication(auth, rule, user, {
    certificateName: facts.certificate ?? null,
    binding: facts.binding ?? null,
  });
}

/** Code and content of the authentication request in a step. */
function request(step: AuthStep): { code: number; content: Buffer } {
  if (step.kind === 'refused') throw new Error(step.error.message);
  expect(step.bytes[0]).toBe(0x52);
  return { code: step.bytes.readInt32BE(5), content: step.bytes.subarray(9) };
}

const refusal = (step: AuthStep): string =>
  step.kind === 'refused'
    ? `${step.error.code} ${step.error.severity} ${step.error.message}`
    : step.kind;

const wrong = (user: string): string =>
  `28P01 FATAL password authentication failed for user "${user}"`;

const OK = Buffer.from('R\0\0\0\x08\0\0\0\0', 'latin1');

describe('trust', () => {
  test('lets in whoever is listed, or everybody where nobody is', async () => {
    const listed = await authentication('trust', 'ann', { ann: null }).start();
    expect(request(listed)).toMatchObject({ code: 0 });
    expect(listed.kind).toBe('accepted');
    expect((await authentication('trust', 'bob', {}).start()).kind).toBe('accepted');
    const other = await authentication('trust', 'bob', { ann: null }).start();
    expect(refusal(other)).toBe('28000 FATAL role "bob" does not exist');
  });
});

describe('certificates', () => {
  const wrongCertificate = (user: string): string =>
    `28000 FATAL certificate authentication failed for user "${user}"`;
  const staff = [
    { certificate: 'Ann of Sales', user: 'ann' },
    { certificate: /^(.*)@example\.com$/u, user: '\\1' },
    { certificate: /^root-/u, user: 'all' },
  ];

  test.each([
    ['ann', 'ann', null, true],
    ['ann', 'bob', null, false],
    ['ann', '', null, false],
    ['ann', 'Ann of Sales', staff, true],
    ['bob', 'Ann of Sales', staff, false],
    ['bob', 'bob@example.com', staff, true],
    ['bob', 'ann@example.com', staff, false],
    ['bob', 'bob@example.com.evil', staff, false],
    ['bob', 'root-7', staff, true],
    // With a map, the same name is not enough.
    ['ann', 'ann', staff, false],
  ])('user %s with the certificate of %s, map %j: %s', async (user, certificate, map, fits) => {
    const users = { ann: null, bob: null };
    const step = await authentication('cert', user, users, { map, certificate }).start();
    expect(refusal(step)).toBe(fits ? 'accepted' : wrongCertificate(user));
  });

  const missing = '28000 FATAL connection requires a valid client certificate';

  test('must be shown; that of a user who is not listed proves the name, and is of no use', async () => {
    const login = (facts: Facts): Promise<AuthStep> =>
      authentication('cert', 'eve', { ann: null }, facts).start();
    expect(refusal(await login({}))).toBe(missing);
    for (const facts of [{ certificate: 'eve' }, { certificate: 'eve@example.com', map: staff }]) {
      const step = await login(facts);
      expect(refusal(step)).toBe('28000 FATAL role "eve" does not exist');
      expect(step).toMatchObject({ first: OK });
    }
  });

  test('of somebody else, where a certificate is all that is asked for', async () => {
    const trust = (user: string, certificate: string): Promise<AuthStep> => {
      const facts = { clientCert: 'verify-full', certificate } as const;
      return authentication('trust', user, { ann: null }, facts).start();
    };
    const failed = '28000 FATAL "trust" authentication failed for user';
    expect(refusal(await trust('ann', 'ann'))).toBe('accepted');
    expect(refusal(await trust('ann', 'bob'))).toBe(`${failed} "ann"`);
    expect(refusal(await trust('eve', 'bob'))).toBe(`${failed} "eve"`);
    expect(refusal(await trust('eve', 'eve'))).toBe('28000 FATAL role "eve" does not exist');
  });

  test('may be asked for beside a password: any one, or that of the user', async () => {
    const answer = async (facts: Facts, password = 'pencil'): Promise<string> => {
      const login = authentication('md5', 'ann', { ann: 'pencil' }, facts);
      const step = await login.start();
      if (step.kind === 'refused') return refusal(step);
      const { content } = request(step);
      return refusal(login.answer(Buffer.from(`${md5Response('ann', password, content)}\0`)));
    };
    for (const clientCert of ['verify-ca', 'verify-full'] as const) {
      expect(await answer({ clientCert })).toBe(missing);
      expect(await answer({ clientCert, certificate: 'ann' })).toBe('accepted');
      expect(await answer({ clientCert, certificate: 'ann' }, 'pen')).toBe(wrong('ann'));
    }
    expect(await answer({ clientCert: 'verify-ca', certificate: 'bob' })).toBe('accepted');
    expect(await answer({ clientCert: 'verify-full', certificate: 'bob' })).toBe(wrong('ann'));
  });
});

describe('md5', () => {
  async function answer(user: string, password: string, users: Record<string, string | null>) {
    const login = authentication('md5', user, users);
    const { code, content } = request(await login.start());
    expect(code).toBe(5);
    expect(content).toHaveLength(4);
    return login.answer(Buffer.from(`${md5Response(user, password, content)}\0`));
  }

  const stored = 'md528754acffc5400623f44a44d30b50393';

  test('the right password, stored plain or hashed', async () => {
    expect((await answer('ann', 'pencil', { ann: 'pencil' })).kind).toBe('accepted');
    expect((await answer('ann', 'pencil', { ann: stored })).kind).toBe('accepted');
  });

  test('a wrong password, an unknown user and a user without password look the same', async () => {
    expect(refusal(await answer('ann', 'pen', { ann: 'pencil' }))).toBe(wrong('ann'));
    expect(refusal(await answer('eve', 'pencil', { ann: 'pencil' }))).toBe(wrong('eve'));
    expect(refusal(await answer('ann', 'pencil', { ann: null }))).toBe(wrong('ann'));
    expect(refusal(await answer('ann', '', { ann: null }))).toBe(wrong('ann'));
  });

  test('every login has a salt of its own; an empty or odd answer is refused', async () => {
    const login = authentication('md5', 'ann', { ann: 'pencil' });
    const other = authentication('md5', 'ann', { ann: 'pencil' });
    const salts = await Promise.all([login.start(), other.start()]);
    const [salt, second] = salts.map((step) => request(step).content);
    expect(salt!.equals(second!)).toBe(false);
    const stale = Buffer.from(`${md5Response('ann', 'pencil', second!)}\0`);
    for (const bytes of [stale, Buffer.alloc(0), Buffer.from('\0'), Buffer.alloc(5000, 0x61)]) {
      expect(refusal(login.answer(bytes))).toBe(wrong('ann'));
    }
  });
});

describe('an expired password', () => {
  test('is a wrong one', async () => {
    const answer = async (validUntil: number): Promise<string> => {
      const login = authentication('md5', 'ann', { ann: 'pencil' }, { validUntil });
      const { content } = request(await login.start());
      return refusal(login.answer(Buffer.from(`${md5Response('ann', 'pencil', content)}\0`)));
    };
    expect(await answer(Date.now() - 1)).toBe(wrong('ann'));
    expect(await answer(Date.now() + 60_000)).toBe('accepted');
  });

  test('does not matter where nobody asks for it', async () => {
    const login = authentication('trust', 'ann', { ann: null }, { validUntil: 1 });
    expect((await login.start()).kind).toBe('accepted');
  });
});

describe('SCRAM-SHA-256', () => {
  const initial = (text: string, mechanism = 'SCRAM-SHA-256'): Buffer =>
    Buffer.concat([
      Buffer.from(`${mechanism}\0`),
      int32(Buffer.byteLength(text)),
      Buffer.from(text),
    ]);

  /** A whole exchange; answers the last step. */
  async function exchange(login: Authentication, password: string): Promise<AuthStep> {
    const offer = request(await login.start());
    expect(offer).toMatchObject({ code: 10 });
    expect(offer.content.toString()).toBe('SCRAM-SHA-256\0\0');
    const client = new ScramClient(password);
    const challenge = request(login.answer(initial(client.first())));
    expect(challenge.code).toBe(11);
    const final = login.answer(Buffer.from(await client.final(challenge.content.toString())));
    if (final.kind === 'accepted') {
      const signed = request(final);
      expect(signed.code).toBe(12);
      const length = final.bytes.readInt32BE(1) + 1;
      client.verify(final.bytes.toString('latin1', 9, length));
      // AuthenticationOk follows in the same write.
      expect(final.bytes.subarray(length).toString('hex')).toBe('520000000800000000');
    }
    return final;
  }

  test('the right password, stored plain or as a verifier', async () => {
    const made = await makeVerifier('pencil', Buffer.alloc(16, 3), 100);
    const [salt, storedKey, serverKey] = [made.salt, made.storedKey, made.serverKey].map((bytes) =>
      bytes.toString('base64'),
    );
    const verifier = `SCRAM-SHA-256$100:${salt!}$${storedKey!}:${serverKey!}`;
    for (const password of ['pencil', verifier]) {
      const login = authentication('scram-sha-256', 'ann', { ann: password });
      expect((await exchange(login, 'pencil')).kind).toBe('accepted');
    }
    // Where md5 is the method, such a user is asked by SCRAM all the same.
    const upgraded = authentication('md5', 'ann', { ann: verifier });
    expect((await exchange(upgraded, 'pencil')).kind).toBe('accepted');
    // Whoever has stolen the verifier cannot log in with it.
    const stolen = authentication('scram-sha-256', 'ann', { ann: verifier });
    expect(refusal(await exchange(stolen, verifier))).toBe(wrong('ann'));
  });

  test('a wrong password, an unknown user and a user without password look the same', async () => {
    const users = { ann: 'pencil', bob: null };
    for (const user of ['ann', 'bob', 'eve']) {
      const step = await exchange(authentication('scram-sha-256', user, users), 'pen');
      expect(refusal(step)).toBe(wrong(user));
    }
  });

  test('an unknown user sees the same salt at every try', async () => {
    const salts = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const login = authentication('scram-sha-256', 'eve', { ann: 'pencil' });
      await login.start();
      const { content } = request(login.answer(initial('n,,n=,r=abc')));
      salts.add(/s=([^,]*)/.exec(content.toString())![1]!);
    }
    expect(salts.size).toBe(1);
  });

  test.each([
    ['another mechanism', initial('n,,n=,r=abc', 'SCRAM-SHA-256-PLUS')],
    ['no mechanism', Buffer.alloc(0)],
    ['a mechanism without end', Buffer.from('SCRAM-SHA-256')],
    ['no length', Buffer.from('SCRAM-SHA-256\0')],
    ['a length beyond the message', Buffer.from('SCRAM-SHA-256\0\0\0\0\x09n,,n=,r=')],
    ['no initial response', Buffer.from('SCRAM-SHA-256\0\xff\xff\xff\xff', 'latin1')],
    ['a second startup message', Buffer.from('\0\x03\0\0user\0ann\0\0')],
    ['an empty first message', initial('')],
    ['nonsense', initial('\0\0\0')],
  ])('%s ends the login: 08P01', async (_name, bytes) => {
    const login = authentication('scram-sha-256', 'ann', { ann: 'pencil' });
    await login.start();
    expect(refusal(login.answer(bytes))).toMatch(/^08P01 FATAL /);
  });

  test('a malformed last message ends the login: 08P01', async () => {
    const login = authentication('scram-sha-256', 'ann', { ann: 'pencil' });
    await login.start();
    login.answer(initial('n,,n=,r=abc'));
    expect(refusal(login.answer(Buffer.from('c=biws,r=abc,p=AAAA')))).toMatch(/^08P01 FATAL /);
  });
});

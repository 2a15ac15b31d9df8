import {
  createHash,
  createHmac,
  pbkdf2 as pbkdf2Callback,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';

/** SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, as PostgreSQL speaks it. No sockets. */

const pbkdf2 = promisify(pbkdf2Callback);

/** PostgreSQL's default; more costs each login CPU. */
const DEFAULT_ITERATIONS = 4096;
/** A server that asks for more is refused, a client's stored verifier with more too: PBKDF2 is CPU by design. */
const ITERATIONS_MAX = 1_000_000;
/** Longer messages than any honest peer sends (nonces are 24 characters). */
const MESSAGE_CHARACTERS_MAX = 4096;

/** Mechanism names (RFC 7677); PLUS binds the exchange to the TLS channel. */
export const SCRAM = 'SCRAM-SHA-256';
export const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS';
/** The one kind of channel binding that PostgreSQL knows. */
const BINDING_TYPE = 'tls-server-end-point';

/** client-first-message-bare; extensions behind the nonce are nobody's, and ignored. */
const FIRST_BARE = /^n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*$/s;

/** A malformed or wrong exchange; the message carries no secret. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
  /**
   * `binding`: well-formed, but somebody may sit between client and server, since channel binding does not fit;
   * `unsupported`: well-formed, and nothing that PostgreSQL knows.
   */
  readonly kind: 'malformed' | 'binding' | 'unsupported';

  constructor(message: string, kind: ScramError['kind'] = 'malformed') {
    super(message);
    this.kind = kind;
  }
}

export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** Reads a verifier as pg_authid holds it: `SCRAM-SHA-256$4096:salt$storedKey:serverKey`; null where it is none. */
export function parseVerifier(text: string): ScramVerifier | null {
  const match =
    /^SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(text);
  if (match === null) return null;
  const [, iterations, salt, storedKey, serverKey] = match;
  const verifier = {
    iterations: Number(iterations),
    salt: Buffer.from(salt!, 'base64'),
    storedKey: Buffer.from(storedKey!, 'base64'),
    serverKey: Buffer.from(serverKey!, 'base64'),
  };
  const valid =
    verifier.storedKey.length === 32 &&
    verifier.serverKey.length === 32 &&
    verifier.iterations >= 1 &&
    verifier.iterations <= ITERATIONS_MAX;
  return valid ? verifier : null;
}

/** Derives a verifier from a plain password. Costs PBKDF2 once, off the event loop; keep the result. */
export async function makeVerifier(
  password: string,
  salt: Buffer = randomBytes(16),
  iterations = DEFAULT_ITERATIONS,
): Promise<ScramVerifier> {
  const salted = await pbkdf2(normalize(password), salt, iterations, 32, 'sha256');
  const storedKey = sha256(hmac(salted, 'Client Key'));
  return { iterations, salt, storedKey, serverKey: hmac(salted, 'Server Key') };
}

/** A verifier that no password fits: unknown users go through the same exchange as known ones. */
export function mockVerifier(user: string, secret: Buffer): ScramVerifier {
  const salt = createHmac('sha256', secret).update(user).digest().subarray(0, 16);
  return {
    iterations: DEFAULT_ITERATIONS,
    salt,
    storedKey: randomBytes(32),
    serverKey: randomBytes(32),
  };
}

/** The server's side of one exchange. */
export class ScramServer {
  private readonly verifier: ScramVerifier;
  /** What the channel can be bound to; null: SCRAM-SHA-256-PLUS was not offered. */
  private readonly channel: Buffer | null;
  private clientFirstBare = '';
  private serverFirst = '';
  /** What `c=` of the last message must hold. */
  private binding: Buffer = Buffer.alloc(0);
  private nonce = '';

  constructor(verifier: ScramVerifier, channel: Buffer | null = null) {
    this.verifier = verifier;
    this.channel = channel;
  }

  /** Takes client-first-message, answers server-first-message. `plus`: the client chose SCRAM-SHA-256-PLUS. */
  first(message: string, plus = false): string {
    bounded(message);
    const match = /^([ny]|p=[A-Za-z0-9.-]+),((?:a=[^,]*)?),(.*)$/s.exec(message);
    if (match === null) throw new ScramError('malformed SCRAM message');
    const flag = match[1]!;
    this.checkBindingFlag(flag, plus);
    if (match[2] !== '') {
      const what = 'client uses authorization identity, but it is not supported';
      throw new ScramError(what, 'unsupported');
    }
    const header = Buffer.from(`${flag},,`, 'latin1');
    this.binding = plus ? Buffer.concat([header, this.channel!]) : header;
    this.clientFirstBare = match[3]!;
    if (this.clientFirstBare.startsWith('m')) {
      throw new ScramError('client requires an unsupported SCRAM extension', 'unsupported');
    }
    const bare = FIRST_BARE.exec(this.clientFirstBare);
    if (bare === null) throw new ScramError('malformed SCRAM message');
    this.nonce = bare[2]! + randomBytes(18).toString('base64');
    const { salt, iterations } = this.verifier;
    this.serverFirst = `r=${this.nonce},s=${salt.toString('base64')},i=${iterations}`;
    return this.serverFirst;
  }

  /** `n`: the client cannot bind; `y`: it thinks that we cannot; `p=...`: it does. */
  private checkBindingFlag(flag: string, plus: boolean): void {
    if (flag.startsWith('p') !== plus) throw new ScramError('malformed SCRAM message');
    if (plus && flag !== `p=${BINDING_TYPE}`) {
      throw new ScramError('unsupported SCRAM channel-binding type');
    }
    // Somebody has taken our offer out of the list.
    if (flag === 'y' && this.channel !== null) {
      throw new ScramError('SCRAM channel binding negotiation error', 'binding');
    }
  }

  /** Takes client-final-message; answers server-final-message, or null where the proof is wrong. */
  final(message: string): string | null {
    bounded(message);
    const match = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)),p=([A-Za-z0-9+/=]+)$/.exec(
      message,
    );
    if (match === null) throw new ScramError('malformed SCRAM message');
    const [, withoutProof, binding, nonce, proofText] = match;
    if (!Buffer.from(binding!, 'base64').equals(this.binding)) {
      const bound = this.binding[0] === P;
      throw bound
        ? new ScramError('SCRAM channel binding check failed', 'binding')
        : new ScramError('unexpected SCRAM channel-binding attribute in client-final-message');
    }
    if (nonce !== this.nonce) throw new ScramError('invalid SCRAM response');
    const proof = Buffer.from(proofText!, 'base64');
    if (proof.length !== 32) throw new ScramError('malformed SCRAM message');
    const authMessage = `${this.clientFirstBare},${this.serverFirst},${withoutProof!}`;
    const clientKey = xor(proof, hmac(this.verifier.storedKey, authMessage));
    if (!timingSafeEqual(sha256(clientKey), this.verifier.storedKey)) return null;
    return `v=${hmac(this.verifier.serverKey, authMessage).toString('base64')}`;
  }
}

/** The client's side of one exchange, towards a server that may be hostile. */
export class ScramClient {
  private readonly password: string;
  private readonly nonce = randomBytes(18).toString('base64');
  private readonly header: string;
  private readonly binding: Buffer;
  private expectedSignature: Buffer | null = null;

  /**
   * `channel`: what to bind to, with SCRAM-SHA-256-PLUS; `unbound`: the channel could be bound, but the server does
   * not offer that, which a server that does will notice; null: neither.
   */
  constructor(password: string, channel: Buffer | 'unbound' | null = null) {
    this.password = password;
    const bound = channel instanceof Buffer;
    this.header = bound ? `p=${BINDING_TYPE},,` : channel === null ? 'n,,' : 'y,,';
    const header = Buffer.from(this.header, 'latin1');
    this.binding = bound ? Buffer.concat([header, channel]) : header;
  }

  first(): string {
    return `${this.header}n=*,r=${this.nonce}`;
  }

  /** Takes server-first-message, answers client-final-message. */
  async final(serverFirst: string): Promise<string> {
    bounded(serverFirst);
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=(\d{1,7})$/.exec(serverFirst);
    if (match === null) throw new ScramError('the server sent a malformed SCRAM message');
    const [, nonce, salt, iterationsText] = match;
    const iterations = Number(iterationsText);
    if (!nonce!.startsWith(this.nonce) || nonce!.length === this.nonce.length) {
      throw new ScramError('the server sent a wrong SCRAM nonce');
    }
    if (iterations < 1 || iterations > ITERATIONS_MAX) {
      throw new ScramError(`the server asks for ${iterations} SCRAM iterations`);
    }
    const salted = await pbkdf2(
      normalize(this.password),
      Buffer.from(salt!, 'base64'),
      iterations,
      32,
      'sha256',
    );
    const withoutProof = `c=${this.binding.toString('base64')},r=${nonce!}`;
    const authMessage = `n=*,r=${this.nonce},${serverFirst},${withoutProof}`;
    const clientKey = hmac(salted, 'Client Key');
    const proof = xor(clientKey, hmac(sha256(clientKey), authMessage));
    this.expectedSignature = hmac(hmac(salted, 'Server Key'), authMessage);
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Checks server-final-message: only a server that knows the password's verifier can sign it. */
  verify(serverFinal: string): void {
    bounded(serverFinal);
    const signature = Buffer.from(/^v=([A-Za-z0-9+/=]+)$/.exec(serverFinal)?.[1] ?? '', 'base64');
    const expected = this.expectedSignature;
    if (expected === null || signature.length !== 32 || !timingSafeEqual(signature, expected)) {
      throw new ScramError('the server could not prove that it knows the password');
    }
  }
}

/** PostgreSQL's md5 response: `md5` + md5(md5(password + user) + salt). */
export function md5Response(user: string, passwordOrHash: string, salt: Uint8Array): string {
  const inner = /^md5[0-9a-f]{32}$/.test(passwordOrHash)
    ? passwordOrHash.slice(3)
    : md5(Buffer.from(passwordOrHash + user, 'utf8'));
  return `md5${md5(Buffer.concat([Buffer.from(inner, 'latin1'), salt]))}`;
}

/** Compares secrets in time that depends on neither. */
export function equalSecrets(a: string, b: string): boolean {
  return timingSafeEqual(sha256(Buffer.from(a, 'utf8')), sha256(Buffer.from(b, 'utf8')));
}

function bounded(message: string): void {
  if (message.length > MESSAGE_CHARACTERS_MAX) throw new ScramError('oversized SCRAM message');
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function xor(a: Buffer, b: Buffer): Buffer {
  const out = Buffer.allocUnsafe(a.length);
  for (let i = 0; i < a.length; i++) out[i] = a[i]! ^ b[i]!;
  return out;
}

const P = 0x70;

/** RFC 3454 C.1.2: spaces that SASLprep makes plain ones. */
const NON_ASCII_SPACE = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
/** RFC 3454 B.1: characters that SASLprep drops (variation selectors and joiners, one by one). */
const MAPPED_TO_NOTHING =
  /\u00ad|\u034f|\u1806|\u180b|\u180c|\u180d|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;
/** RFC 3454 C.2 to C.9: what a prepared password must not hold. */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}]|[\u06dd\u070f\u180e\u2028\u2029\u2061-\u2063\u206a-\u206f\ufff9-\ufffd\u{1d173}-\u{1d17a}]|[\u2ff0-\u2ffb\u0340\u0341\u200e\u200f\u202a-\u202e\u{e0001}\u{e0020}-\u{e007f}]/u;

/**
 * SASLprep (RFC 4013) as pg_saslprep does it: ASCII stays as it is, and what is prohibited is taken raw. Its checks of
 * direction and of characters younger than Unicode 3.2 are left out: they matter only where such a password also
 * holds something that NFKC changes.
 */
function normalize(password: string): string {
  if (/^[\0-\x7f]*$/.test(password)) return password;
  const prepared = password
    .replace(NON_ASCII_SPACE, ' ')
    .replace(MAPPED_TO_NOTHING, '')
    .normalize('NFKC');
  return prepared === '' || PROHIBITED.test(prepared) ? password : prepared;
}

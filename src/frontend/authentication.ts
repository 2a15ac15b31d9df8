import { randomBytes } from 'node:crypto';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { AuthConfig, AuthRule, UserConfig } from '../config/config.js';
import {
  equalSecrets,
  makeVerifier,
  md5Response,
  mockVerifier,
  parseVerifier,
  SCRAM,
  SCRAM_PLUS,
  ScramError,
  ScramServer,
  type ScramVerifier,
} from '../protocol/scram.js';
import { Writer } from '../protocol/writer.js';
import { certificateFits } from './host-rules.js';

/** The next thing of a login: bytes for the client, or its end. */
export type AuthStep =
  | { readonly kind: 'send'; readonly bytes: Buffer; readonly expectsAnswer: boolean }
  | { readonly kind: 'accepted'; readonly bytes: Buffer }
  /** `first`: goes before the error. */
  | { readonly kind: 'refused'; readonly error: SqlError; readonly first?: Buffer };

type Refusal = Extract<AuthStep, { kind: 'refused' }>;

/** Authentication request codes (PostgreSQL 18, 54.7). */
const AuthCode = { ok: 0, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;
/** Salts of mock exchanges must not change while the process lives, or they would tell unknown users apart. */
const MOCK_SECRET = randomBytes(32);
/** Of users whose password is plain text; a reload makes other users. */
const verifiers = new WeakMap<UserConfig, Promise<ScramVerifier>>();

/** What the connection itself says about a client. */
export interface Channel {
  /** Common name of a verified certificate; null: it has shown none. */
  readonly certificateName: string | null;
  /** What SCRAM can be bound to; null: nothing. */
  readonly binding: Buffer | null;
}

/**
 * One client's proof of who it is, by the method of a rule. Steps may take PBKDF2, so they are asynchronous; messages
 * come one at a time.
 */
export class Authentication {
  private readonly user: string;
  /** Null: the user is not listed. */
  readonly entry: UserConfig | null;
  private readonly password: string | null;
  private readonly rule: AuthRule;
  private readonly method: AuthRule['method'];
  private readonly known: boolean;
  private readonly salt = randomBytes(4);
  private scram: ScramServer | null = null;
  private readonly channel: Channel;

  constructor({ users }: AuthConfig, rule: AuthRule, user: string, channel: Channel) {
    const entry = users.get(user) ?? null;
    this.user = user;
    this.entry = entry;
    this.rule = rule;
    // An expired password lets in nobody, and is not told from a wrong one.
    const expired = (entry?.validUntil ?? Infinity) <= Date.now();
    this.password = expired ? null : (entry?.password ?? null);
    // Of a SCRAM verifier no md5 challenge can be checked: such users get SCRAM, as in Postgres.
    const upgraded = rule.method === 'md5' && parseVerifier(entry?.password ?? '') !== null;
    this.method = upgraded ? 'scram-sha-256' : rule.method;
    this.known = entry !== null || (rule.method === 'trust' && users.size === 0);
    this.channel = channel;
  }

  async start(): Promise<AuthStep> {
    const { rule, channel } = this;
    const wantsCertificate = rule.clientCert !== null || this.method === 'cert';
    if (wantsCertificate && channel.certificateName === null) {
      return this.refused('connection requires a valid client certificate');
    }
    switch (this.method) {
      case 'reject':
        throw new Error('a rejected client is not asked for anything');
      case 'trust':
      case 'cert':
        return this.accepted();
      case 'md5':
        return { kind: 'send', bytes: request(AuthCode.md5, this.salt), expectsAnswer: true };
      case 'scram-sha-256': {
        this.scram = new ScramServer(await this.verifier(), channel.binding);
        const offered = channel.binding === null ? [SCRAM] : [SCRAM_PLUS, SCRAM];
        const mechanisms = Buffer.from(`${offered.join('\0')}\0\0`, 'latin1');
        return { kind: 'send', bytes: request(AuthCode.sasl, mechanisms), expectsAnswer: true };
      }
    }
  }

  /** Of a message that is no answer: its type is enough, what it says of its length is not waited for. */
  unexpected(type: number): SqlError {
    const expected = this.scram === null ? 'password' : 'SASL';
    const message = `expected ${expected} response, got message type ${type}`;
    return sqlError('protocol_violation', message, { severity: 'FATAL' });
  }

  /** Takes a password message's content (`p`, behind its length). */
  answer(content: Buffer): AuthStep {
    if (this.method === 'md5') return this.answerMd5(content);
    try {
      return this.answerScram(content);
    } catch (error) {
      if (!(error instanceof ScramError)) throw error;
      const state = SCRAM_STATES[error.kind];
      return { kind: 'refused', error: sqlError(state, error.message, { severity: 'FATAL' }) };
    }
  }

  private scramStep: 'first' | 'final' = 'first';

  private answerScram(content: Buffer): AuthStep {
    if (this.scram === null) throw new ScramError('unexpected password message');
    if (this.scramStep === 'first') {
      this.scramStep = 'final';
      const nameEnd = content.indexOf(0);
      const mechanism = content.toString('latin1', 0, Math.max(0, nameEnd));
      const plus = mechanism === SCRAM_PLUS && this.channel.binding !== null;
      if (!plus && mechanism !== SCRAM) {
        throw new ScramError('client selected an invalid SASL authentication mechanism');
      }
      if (
        content.length < nameEnd + 5 ||
        content.readInt32BE(nameEnd + 1) !== content.length - nameEnd - 5
      ) {
        throw new ScramError('malformed SCRAM message');
      }
      const reply = this.scram.first(content.toString('utf8', nameEnd + 5), plus);
      return {
        kind: 'send',
        bytes: request(AuthCode.saslContinue, Buffer.from(reply, 'latin1')),
        expectsAnswer: true,
      };
    }
    const signature = this.scram.final(content.toString('utf8'));
    if (signature === null || !this.known || this.password === null) return this.failed();
    return this.accepted(request(AuthCode.saslFinal, Buffer.from(signature, 'latin1')));
  }

  private answerMd5(content: Buffer): AuthStep {
    const response = content.toString('latin1', 0, Math.max(0, content.length - 1));
    const expected = md5Response(
      this.user,
      this.password ?? randomBytes(16).toString('hex'),
      this.salt,
    );
    const fits = equalSecrets(response, expected) && this.known && this.password !== null;
    return fits ? this.accepted() : this.failed();
  }

  private async verifier(): Promise<ScramVerifier> {
    if (this.password === null) return mockVerifier(this.user, MOCK_SECRET);
    const given = parseVerifier(this.password);
    if (given !== null) return given;
    // Deriving costs milliseconds of CPU: once for a password, not once a login.
    let made = verifiers.get(this.entry!);
    if (made === undefined) {
      made = makeVerifier(this.password);
      verifiers.set(this.entry!, made);
    }
    return made;
  }

  /**
   * Nothing is wrong so far. Whether there is such a user is looked at behind AuthenticationOk, as Postgres does.
   * @param first what comes in front of that
   */
  private accepted(first: Buffer = NOTHING): AuthStep {
    const { rule, method } = this;
    const mustFit = rule.clientCert === 'verify-full' || method === 'cert';
    if (mustFit && !this.certificateFits()) return { ...this.failed(), first };
    const bytes = Buffer.concat([first, request(AuthCode.ok, NOTHING)]);
    if (this.known) return { kind: 'accepted', bytes };
    return { ...this.refused(`role "${this.user}" does not exist`), first: bytes };
  }

  private certificateFits(): boolean {
    const { certificateName } = this.channel;
    return certificateName !== null && certificateFits(this.rule.map, certificateName, this.user);
  }

  /** Whatever the proof lacks: Postgres tells the method only. */
  private failed(): Refusal {
    const { method, user } = this;
    if (method === 'cert')
      return this.refused(`certificate authentication failed for user "${user}"`);
    if (method === 'trust') return this.refused(`"trust" authentication failed for user "${user}"`);
    const message = `password authentication failed for user "${user}"`;
    return { kind: 'refused', error: sqlError('invalid_password', message, { severity: 'FATAL' }) };
  }

  private refused(message: string): Refusal {
    return {
      kind: 'refused',
      error: sqlError('invalid_authorization_specification', message, { severity: 'FATAL' }),
    };
  }
}

const NOTHING = Buffer.alloc(0);

const SCRAM_STATES = {
  malformed: 'protocol_violation',
  binding: 'invalid_authorization_specification',
  unsupported: 'feature_not_supported',
} as const;

function request(code: number, content: Uint8Array): Buffer {
  return new Writer(64).begin(0x52).int32(code).bytes(content).end().take();
}

import { isConsole, type Config, type UserConfig } from '../config/config.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { SocketTransport, TransportHandler } from '../net/transport.js';
import { secureServerTransport } from '../net/transport.js';
import {
  writeError,
  writeParameterStatus,
  writeReadyForQuery,
} from '../protocol/backend-messages.js';
import { Backend, Frontend, TxStatus } from '../protocol/codes.js';
import { Framer, readInt32 } from '../protocol/framing.js';
import {
  negotiation,
  readStartup,
  STARTUP_BYTES_MAX,
  unsupportedProtocol,
  type StartupPacket,
} from '../protocol/startup.js';
import { Writer } from '../protocol/writer.js';
import type { Logger } from '../util/logger.js';
import { Authentication, type AuthStep } from './authentication.js';
import type { ClientInfo, ConnectionInfo } from './client-info.js';
import { ALPN, type TlsOffer } from './client-tls.js';
import { consoleRole, type ConsoleClient, type OpenConsole } from './console-door.js';
import { ruleFor, turnedAway } from './host-rules.js';
import { Session } from './session.js';
import type { SessionContext } from './session-context.js';
import { startupSettings } from './startup-settings.js';

type Startup = Extract<StartupPacket, { kind: 'startup' }>;

/** As much as a read of a client's socket brings. */
const EARLY_BYTES_MAX = 64 * 1024;
/** Password messages are a few hundred bytes; PostgreSQL's own bound is 64 KB. */
const PASSWORD_BYTES_MAX = 65_535;

export interface LoginHost {
  readonly context: SessionContext;
  /** Null: TLS is off. */
  readonly tls: () => TlsOffer | null;
  readonly openConsole: OpenConsole;
  /** Why no more clients may come to a database now; null: come in. */
  readonly refusal: (database: string) => SqlError | null;
  /** Why this user may have no more sessions; null: come in. */
  readonly userRefusal: (user: string) => SqlError | null;
  /** A session stands; called before its first message. */
  readonly onSession: (session: Session, info: ClientInfo) => void;
  readonly onSessionClosed: (session: Session) => void;
  readonly onConsole: (console: ConsoleClient, info: ClientInfo) => void;
  readonly onConsoleClosed: (console: ConsoleClient) => void;
  /** The connection ended before there was a session. */
  readonly onClosed: (refused: boolean) => void;
}

/**
 * A client from connect to login:
 *
 *   SSLRequest, GSSENCRequest -> StartupMessage -> authentication -> settings of the startup message -> Session
 *   TLS handshake at once     ->
 *   CancelRequest             -> done, without an answer
 */
export class ClientLogin implements TransportHandler {
  private readonly host: LoginHost;
  private readonly logger: Logger;
  private readonly connection: ConnectionInfo;
  /** Null: a Unix socket. */
  private readonly address: string | null;
  private transport: SocketTransport;
  private readonly framer = new Framer();
  private phase: 'startup' | 'authentication' | 'busy' | 'over' = 'startup';
  /** Under TLS: what the handshake was made with. */
  private encryption: TlsOffer | null = null;
  /** The handshake came without a request; ALPN must tell that it is meant for us. */
  private direct = false;
  private sawSsl = false;
  private sawGss = false;
  private startup: Startup | null = null;
  private authentication: Authentication | null = null;
  /** Bytes that came while an answer was being made; they wait as they would in a server's socket. */
  private early: Buffer = NOTHING;
  /** Whoever has the connection now. */
  private session: Session | ConsoleClient | null = null;
  private readonly timer: NodeJS.Timeout;

  constructor(
    transport: SocketTransport,
    connection: ConnectionInfo,
    host: LoginHost,
    logger: Logger,
  ) {
    this.transport = transport;
    this.connection = connection;
    this.address = connection.address;
    this.host = host;
    this.logger = logger;
    this.timer = setTimeout(() => {
      // As Postgres: a slow login is cut off without a word.
      this.drop();
    }, host.context.config.limits.loginTimeoutMs);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    let at = this.framer.join(buffer, start);
    if (at < 0) {
      const taken = this.framer.assemble(buffer, start, end, this.phase === 'startup' ? 4 : 5);
      const whole = this.framer.complete(this.phase === 'startup' ? 4 : 5);
      if (whole !== null) {
        this.onPacket(whole, 0, whole.length, start + taken < end);
        if (start + taken < end) this.onBytes(buffer, start + taken, end);
      }
      return;
    }
    while (at < end) {
      if (this.phase === 'over') {
        // Sent along with the last message of the login.
        this.session?.onBytes(buffer, at, end);
        return;
      }
      if (this.phase === 'busy') {
        this.keepEarly(buffer, at, end);
        return;
      }
      const header = this.phase === 'startup' ? 4 : 5;
      if (header === 4 && buffer[at] === TLS_HANDSHAKE && this.startDirectTls(buffer, at, end)) {
        return;
      }
      if (header === 4 && !this.looksLikeStartup(buffer, at, end)) {
        this.drop();
        return;
      }
      if (header === 5 && buffer[at] !== Frontend.password) {
        this.refuse(this.authentication!.unexpected(buffer[at]!));
        return;
      }
      const length = end - at < header ? -1 : readInt32(buffer, at + header - 4);
      if (length >= 0 && !this.lengthAllowed(length)) {
        if (this.phase === 'startup') this.drop();
        else this.refuse(sqlError('protocol_violation', 'invalid password packet size'));
        return;
      }
      const next = at + length + header - 4;
      if (length < 0 || next > end) {
        this.framer.keep(buffer, at, end);
        return;
      }
      this.onPacket(buffer, at, next, next < end);
      at = next;
    }
  }

  /** A client may send its first statements before it knows that it is in. */
  private keepEarly(buffer: Buffer, at: number, end: number): void {
    if (this.early.length + end - at > EARLY_BYTES_MAX) {
      this.refuse(sqlError('protocol_violation', 'too many bytes during authentication'));
      return;
    }
    this.early = Buffer.concat([this.early, buffer.subarray(at, end)]);
  }

  onDrain(): void {
    // Login messages are small.
  }

  onClose(): void {
    if (this.phase === 'over') return;
    this.end(false);
  }

  /** Postgres closes in silence on what cannot be a startup packet: HTTP, a wrong length. */
  private looksLikeStartup(buffer: Buffer, at: number, end: number): boolean {
    if (buffer[at] !== 0) return false;
    return end - at < 2 || buffer[at + 1] === 0;
  }

  private lengthAllowed(length: number): boolean {
    if (this.phase === 'startup') return length >= 8 && length <= STARTUP_BYTES_MAX;
    return length >= 4 && length <= PASSWORD_BYTES_MAX;
  }

  private onPacket(buffer: Buffer, start: number, end: number, more: boolean): void {
    if (this.phase === 'authentication') {
      this.onPassword(buffer, start, end);
      return;
    }
    if (this.direct && this.transport.alpnProtocol() !== ALPN) {
      // As Postgres: who does not say so may speak another protocol.
      this.drop();
      return;
    }
    const packet = readStartup(buffer, start, end);
    switch (packet.kind) {
      case 'ssl':
        if (this.sawSsl) this.refuse(unsupportedVersion(buffer, start));
        else this.onSslRequest(more);
        return;
      case 'gssenc':
        if (this.sawGss) this.refuse(unsupportedVersion(buffer, start));
        else this.onGssRequest(more);
        return;
      case 'noise':
        this.drop();
        return;
      case 'cancel':
        this.phase = 'busy';
        // Its client takes the end of the connection for the end of the cancelling, as with Postgres.
        this.host.context.cancels.cancel(packet.pid, packet.secret, () => this.drop());
        return;
      case 'refused':
        if (packet.legacy) {
          this.transport.write(Buffer.from(`EFATAL:  ${packet.error.message}\n\0`, 'utf8'));
          this.end(true);
          this.transport.end();
        } else this.refuse(packet.error);
        return;
      case 'startup':
        this.onStartup(packet);
    }
  }

  private onSslRequest(more: boolean): void {
    this.sawSsl = true;
    const offer = this.direct || this.address === null ? null : this.host.tls();
    if (offer === null) this.transport.write(NO);
    // Bytes sent before the answer would be taken for encrypted ones afterwards (CVE-2021-23214).
    if (more) this.refuse(plaintextBehindRequest('SSL'));
    if (more || offer === null) return;
    this.sawGss = true;
    this.transport.write(YES);
    this.encrypt(offer, null);
  }

  private onGssRequest(more: boolean): void {
    this.sawGss = true;
    this.transport.write(NO);
    if (more) this.refuse(plaintextBehindRequest('GSSAPI encryption'));
  }

  /** False: nothing may be encrypted here (any more). */
  private startDirectTls(buffer: Buffer, at: number, end: number): boolean {
    const offer = this.address === null ? null : this.host.tls();
    if (offer === null || this.sawSsl || this.sawGss || this.encryption !== null) return false;
    this.direct = true;
    this.encrypt(offer, Buffer.from(buffer.subarray(at, end)));
    return true;
  }

  private encrypt(offer: TlsOffer, early: Buffer | null): void {
    this.encryption = offer;
    this.transport = secureServerTransport(this.transport, offer.options, early);
  }

  private onStartup(packet: Startup): void {
    this.startup = packet;
    const { context } = this.host;
    const user = packet.parameters.get('user') ?? '';
    const answer = negotiation(packet.minor, packet.unknownOptions);
    if (answer !== null) this.transport.write(answer);
    const { minProtocol } = context.config.listen;
    if (packet.minor < minProtocol) {
      this.refuse(unsupportedProtocol(3, packet.minor, minProtocol));
      return;
    }
    const plain = this.address !== null && this.encryption === null;
    if (plain && this.host.tls()?.required === true) {
      this.refuse(
        sqlError('invalid_authorization_specification', 'connections must be encrypted', {
          hint: 'Connect with sslmode=require.',
        }),
      );
      return;
    }
    if (user === '') {
      this.refuse(
        sqlError(
          'invalid_authorization_specification',
          'no PostgreSQL user name specified in startup packet',
        ),
      );
      return;
    }
    const refusal = this.host.refusal(wantedDatabase(packet));
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    const { auth } = context.config;
    const encrypted = this.encryption !== null;
    const caller = { address: this.address, encrypted, user, database: wantedDatabase(packet) };
    const rule = ruleFor(auth, caller);
    if (rule === null || rule.method === 'reject') {
      this.refuse(turnedAway(rule, caller));
      return;
    }
    this.authentication = new Authentication(auth, rule, user, {
      certificateName: this.transport.peerCertificateName(),
      binding: this.encryption?.channel ?? null,
    });
    this.phase = 'busy';
    this.authentication.start().then(
      (step) => {
        this.onAuthStep(step);
      },
      (error: unknown) => {
        this.onThrown(error);
      },
    );
  }

  private onPassword(buffer: Buffer, start: number, end: number): void {
    try {
      this.onAuthStep(this.authentication!.answer(Buffer.from(buffer.subarray(start + 5, end))));
    } catch (error) {
      this.onThrown(error);
    }
  }

  private onAuthStep(step: AuthStep): void {
    if (this.phase === 'over') return;
    switch (step.kind) {
      case 'send':
        this.phase = 'authentication';
        this.transport.write(step.bytes);
        break;
      case 'refused':
        if (step.first !== undefined) this.transport.write(step.first);
        this.refuse(step.error);
        return;
      case 'accepted':
        this.phase = 'busy';
        this.enter(step.bytes);
    }
    const { early } = this;
    this.early = NOTHING;
    if (early.length > 0) this.onBytes(early, 0, early.length);
  }

  /** Authenticated: checks what was asked for, then hands the connection to a session. */
  private enter(authenticationOk: Buffer): void {
    const { context } = this.host;
    const { parameters, minor } = this.startup!;
    const user = parameters.get('user')!;
    const { entry } = this.authentication!;
    if (isConsole(wantedDatabase(this.startup!), context.config)) {
      this.enterConsole(authenticationOk, user, entry);
      return;
    }
    const refusal =
      this.host.userRefusal(user) ??
      databaseRefusal(wantedDatabase(this.startup!), context.config, entry);
    const settings = refusal ?? startupSettings(parameters, entry?.settings);
    if (settings instanceof SqlError) {
      this.transport.write(authenticationOk);
      this.refuse(settings);
      return;
    }
    this.succeed();
    const session: Session = new Session(context, this.transport, user, this.logger, () => {
      context.cancels.withdraw(key.pid);
      this.host.onSessionClosed(session);
    });
    const key = context.cancels.issue(session, minor >= 2 ? 32 : 4);
    session.listening.pid = key.pid;
    this.session = session;
    this.host.onSession(session, this.info(user));
    const { local } = session;
    local.bytes(authenticationOk);
    session.welcome(settings, (serverParameters) => {
      for (const [name, value] of serverParameters) writeParameterStatus(local, name, value);
      local.begin(Backend.backendKeyData).int32(key.pid).bytes(key.secret).end();
      writeReadyForQuery(local, TxStatus.idle);
    });
  }

  private enterConsole(authenticationOk: Buffer, user: string, entry: UserConfig | null): void {
    const { context } = this.host;
    const role = consoleRole(context.config, entry, this.address);
    if (role instanceof SqlError) {
      this.transport.write(authenticationOk);
      this.refuse(role);
      return;
    }
    this.succeed();
    const info = this.info(user);
    const { applicationName } = info;
    const { transport, logger } = this;
    const onClosed = (): void => {
      context.cancels.withdraw(key.pid);
      this.host.onConsoleClosed(client);
    };
    const visitor = { user, role, applicationName, transport, logger, onClosed };
    const client = this.host.openConsole(visitor);
    const key = context.cancels.issue(client, this.startup!.minor >= 2 ? 32 : 4);
    this.session = client;
    this.host.onConsole(client, info);
    client.welcome(authenticationOk, key);
  }

  private succeed(): void {
    clearTimeout(this.timer);
    this.phase = 'over';
  }

  private info(user: string): ClientInfo {
    return {
      ...this.connection,
      user,
      database: wantedDatabase(this.startup!),
      applicationName: this.startup!.parameters.get('application_name') ?? '',
      tls: this.transport.encryption(),
    };
  }

  private onThrown(error: unknown): void {
    this.logger.error({ err: error }, 'login failed');
    this.refuse(sqlError('internal_error', 'internal error during login'));
  }

  private refuse(error: SqlError): void {
    if (this.phase === 'over') return;
    const fatal = sqlError(error.state, error.message, {
      detail: error.detail,
      hint: error.hint,
      severity: 'FATAL',
    });
    const writer = new Writer(256);
    writeError(writer, fatal);
    this.host.context.metrics.errors.add(fatal.code, 'shardgate');
    this.logger.info({ sqlstate: fatal.code, reason: fatal.message }, 'login refused');
    this.transport.write(writer.take());
    this.end(true);
    this.transport.end();
  }

  private drop(): void {
    if (this.phase === 'over') return;
    this.end(false);
    this.transport.destroy();
  }

  private end(refused: boolean): void {
    clearTimeout(this.timer);
    this.phase = 'over';
    this.host.onClosed(refused);
  }
}

/** Missing or empty means the user's name. */
function wantedDatabase({ parameters }: Startup): string {
  const named = parameters.get('database') ?? '';
  return named === '' ? (parameters.get('user') ?? '') : named;
}

/** Null: the user may connect to it. */
function databaseRefusal(
  database: string,
  config: Config,
  user: UserConfig | null,
): SqlError | null {
  if (database !== config.database) {
    return sqlError('invalid_catalog_name', `database "${database}" does not exist`, {
      hint: `Connect to "${config.database}".`,
    });
  }
  if (user?.databases?.includes(database) !== false) return null;
  return sqlError('insufficient_privilege', `permission denied for database "${database}"`, {
    detail: 'User does not have CONNECT privilege.',
  });
}

/** A request for encryption where it makes no sense any more is read as a version, as Postgres does. */
function unsupportedVersion(buffer: Buffer, start: number): SqlError {
  const code = readInt32(buffer, start + 4);
  return unsupportedProtocol(code >> 16, code & 0xffff);
}

function plaintextBehindRequest(what: string): SqlError {
  return sqlError('protocol_violation', `received unencrypted data after ${what} request`, {
    detail:
      'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
  });
}

const NOTHING: Buffer = Buffer.alloc(0);
/** First byte of a TLS record that begins a handshake; no startup packet begins with it. */
const TLS_HANDSHAKE = 0x16;
const YES = Buffer.from('S', 'latin1');
const NO = Buffer.from('N', 'latin1');

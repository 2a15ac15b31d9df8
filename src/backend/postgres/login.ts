import { serialize } from 'pg-protocol';
import type { ServerAddress } from '../../config/config.js';
import { tlsServerEndPoint } from '../../net/channel-binding.js';
import {
  connectTransport,
  secureClientTransport,
  type SocketTransport,
  type TransportHandler,
} from '../../net/transport.js';
import { readErrorFields, readParameterStatus } from '../../protocol/backend-messages.js';
import { Backend, CANCEL_REQUEST, LATEST_MINOR } from '../../protocol/codes.js';
import { Framer, readInt32 } from '../../protocol/framing.js';
import { md5Response, SCRAM, SCRAM_PLUS, ScramClient } from '../../protocol/scram.js';
import { Writer } from '../../protocol/writer.js';
import { BackendError } from '../backend-error.js';
import { asksForTls, serverTlsOptions } from './server-tls.js';

/** A logged-in connection, before anybody uses it. */
export interface BackendLogin {
  readonly transport: SocketTransport;
  readonly pid: number;
  /** What a cancel request must show: 4 bytes, or up to 256 since protocol 3.2. */
  readonly secret: Buffer;
  readonly parameters: Map<string, string>;
  /** What the server sent behind its first ReadyForQuery in the same chunk: a notice, maybe cut off. */
  readonly rest: Buffer;
}

/** Login messages are small; a server that sends more is no Postgres. */
const LOGIN_MESSAGE_BYTES_MAX = 64 * 1024;
/** PostgreSQL 18, BackendKeyData. */
const SECRET_BYTES_MIN = 4;
const SECRET_BYTES_MAX = 256;
/** AuthenticationSASL. */
const AUTH_SASL = 10;

/**
 * Connects and logs in (trust, password, md5, SCRAM-SHA-256, with channel binding under TLS; TLS as `sslmode` says).
 * Rejects with BackendError 08001:
 * refused, timed out, wrong password, TLS failure, or a server that does not follow the protocol.
 */
export function loginToBackend(
  shard: string,
  address: ServerAddress,
  settings: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<BackendLogin> {
  return new Promise((resolve, reject) => {
    const login = new LoginExchange(shard, address, settings, resolve, reject);
    login.start(timeoutMs);
  });
}

class LoginExchange implements TransportHandler {
  private readonly shard: string;
  private readonly address: ServerAddress;
  private readonly settings: Readonly<Record<string, string>>;
  private readonly resolve: (login: BackendLogin) => void;
  private readonly reject: (error: BackendError) => void;
  private readonly framer = new Framer();
  private readonly parameters = new Map<string, string>();
  private transport!: SocketTransport;
  private timer: NodeJS.Timeout | undefined;
  private phase: 'tls-answer' | 'tls-handshake' | 'login' | 'done' = 'login';
  private scram: ScramClient | null = null;
  private scramVerified = false;
  /** The exchange is bound to the TLS channel. */
  private bound = false;
  private authenticated = false;
  private pid = 0;
  private secret: Buffer = Buffer.alloc(0);
  private rest: Buffer = Buffer.alloc(0);

  constructor(
    shard: string,
    address: ServerAddress,
    settings: Readonly<Record<string, string>>,
    resolve: (login: BackendLogin) => void,
    reject: (error: BackendError) => void,
  ) {
    this.shard = shard;
    this.address = address;
    this.settings = settings;
    this.resolve = resolve;
    this.reject = reject;
  }

  start(timeoutMs: number): void {
    this.timer = setTimeout(() => {
      this.fail(`no login within ${timeoutMs} ms at ${this.where()}`);
    }, timeoutMs);
    this.transport = connectTransport(this.address, this, () => {
      if (!asksForTls(this.address)) {
        this.sendStartup();
      } else {
        this.phase = 'tls-answer';
        this.transport.write(serialize.requestSsl());
      }
    });
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.phase === 'tls-answer') {
      this.onTlsAnswer(buffer, start, end);
      return;
    }
    let at = this.framer.join(buffer, start);
    if (at < 0) {
      this.fail('the server sends oversized login messages');
      return;
    }
    while (this.phase === 'login' && at < end) {
      const length = end - at < 5 ? 0 : readInt32(buffer, at + 1);
      if (end - at >= 5 && (length < 4 || length > LOGIN_MESSAGE_BYTES_MAX)) {
        this.fail('the server does not speak the Postgres protocol');
        return;
      }
      if (end - at < 5 || end - at < length + 1) {
        this.framer.keep(buffer, at, end);
        return;
      }
      const next = at + length + 1;
      if (buffer[at] === Backend.readyForQuery) this.rest = Buffer.from(buffer.subarray(next, end));
      this.onMessage(buffer[at]!, buffer, at, next);
      at = next;
    }
  }

  onDrain(): void {
    // Login messages are small; nobody waits.
  }

  onClose(error: Error | null): void {
    const reason = error === null ? 'connection closed during login' : error.message;
    this.fail(`${reason} (${this.where()})`);
  }

  private onTlsAnswer(buffer: Buffer, start: number, end: number): void {
    const answer = buffer[start];
    if (answer === 0x53 && end - start === 1) {
      this.phase = 'tls-handshake';
      this.transport = secureClientTransport(this.transport, serverTlsOptions(this.address), () => {
        this.sendStartup();
      });
    } else if (answer === 0x4e && end - start === 1 && this.address.sslmode === 'prefer') {
      this.sendStartup();
    } else if (answer === 0x53) {
      this.fail('unencrypted bytes behind the answer to the TLS request: somebody is in between');
    } else {
      this.fail(`the server does not offer TLS, but sslmode is ${this.address.sslmode}`);
    }
  }

  private sendStartup(): void {
    this.phase = 'login';
    const { user, database } = this.address;
    const writer = new Writer(256).beginUntyped().int32((3 << 16) | LATEST_MINOR);
    const parameters = { user, database, client_encoding: 'UTF8', ...this.settings };
    for (const [name, value] of Object.entries(parameters)) writer.cstring(name).cstring(value);
    this.transport.write(writer.byte(0).end().take());
  }

  private onMessage(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === Backend.authentication) {
      this.onAuthentication(buffer, start, end);
    } else if (type === Backend.errorResponse) {
      const fields = readErrorFields(buffer, start, end);
      this.fail(`${fields.get('M') ?? 'the server refused the login'} (${this.where()})`, fields);
    } else if (type === Backend.backendKeyData && isKey(end - start - 9)) {
      this.pid = readInt32(buffer, start + 5);
      this.secret = Buffer.from(buffer.subarray(start + 9, end));
    } else if (type === Backend.parameterStatus) {
      const status = readParameterStatus(buffer, start, end);
      if (status !== null) this.parameters.set(status.name, status.value);
    } else if (type === Backend.readyForQuery && this.authenticated) {
      this.finish();
    } else if (type === Backend.negotiateProtocolVersion) {
      if (!isOlderVersion(buffer, start, end)) this.fail(WRONG_VERSION);
    } else if (type !== Backend.noticeResponse) {
      this.fail('the server does not follow the login protocol');
    }
  }

  private onAuthentication(buffer: Buffer, start: number, end: number): void {
    const kind = end - start >= 9 ? readInt32(buffer, start + 5) : -1;
    const { password, user, channelBinding } = this.address;
    if (channelBinding === 'require' && !this.bound && kind !== AUTH_SASL) {
      this.fail('channel_binding=require, but the server logs in without it');
      return;
    }
    if (kind === 0) {
      // A server that skips the proof may be an impostor that collects statements.
      if (this.scram !== null && !this.scramVerified) {
        this.fail('the server ended the SCRAM exchange without its proof');
        return;
      }
      this.authenticated = true;
      return;
    }
    if (password === null) {
      this.fail(`the server asks for a password, but the URL of shard "${this.shard}" has none`);
    } else if (kind === 3) {
      this.transport.write(serialize.password(password));
    } else if (kind === 5 && end - start === 13) {
      const salt = buffer.subarray(start + 9, start + 13);
      this.transport.write(serialize.password(md5Response(user, password, salt)));
    } else if (kind === AUTH_SASL) {
      this.startScram(buffer.toString('latin1', start + 9, end).split('\0'), password);
    } else if (kind === 11 && this.scram !== null) {
      this.continueScram(buffer.toString('latin1', start + 9, end));
    } else if (kind === 12 && this.scram !== null) {
      this.verifyScram(buffer.toString('latin1', start + 9, end));
    } else {
      this.fail(`the server asks for an authentication method that is not supported (${kind})`);
    }
  }

  private startScram(mechanisms: readonly string[], password: string): void {
    const { channelBinding } = this.address;
    const certificate = channelBinding === 'disable' ? null : this.transport.peerCertificate();
    const channel = certificate === null ? null : tlsServerEndPoint(certificate);
    const plus = mechanisms.includes(SCRAM_PLUS);
    this.bound = plus && channel !== null;
    if (channelBinding === 'require' && !this.bound) {
      this.fail('channel_binding=require, but the server does not offer it');
      return;
    }
    if (!this.bound && !mechanisms.includes(SCRAM)) {
      this.fail(`the server offers no SASL mechanism that is supported`);
      return;
    }
    const unbound = channel === null || plus ? null : 'unbound';
    this.scram = new ScramClient(password, this.bound ? channel : unbound);
    const mechanism = this.bound ? SCRAM_PLUS : SCRAM;
    this.transport.write(serialize.sendSASLInitialResponseMessage(mechanism, this.scram.first()));
  }

  private continueScram(message: string): void {
    this.scram!.final(message).then(
      (answer) => {
        if (this.phase === 'login') {
          this.transport.write(serialize.sendSCRAMClientFinalMessage(answer));
        }
      },
      (error: unknown) => {
        this.fail((error as Error).message);
      },
    );
  }

  private verifyScram(message: string): void {
    try {
      this.scram!.verify(message);
      this.scramVerified = true;
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  private finish(): void {
    this.phase = 'done';
    clearTimeout(this.timer);
    const { transport, pid, secret, parameters, rest } = this;
    this.resolve({ transport, pid, secret, parameters, rest });
  }

  private fail(message: string, fields: ReadonlyMap<string, string> | null = null): void {
    if (this.phase === 'done') return;
    this.phase = 'done';
    clearTimeout(this.timer);
    this.transport.destroy();
    this.reject(new BackendError(this.shard, 'sqlclient_unable_to_establish', message, fields));
  }

  private where(): string {
    return `${this.address.host}:${this.address.port}`;
  }
}

function isKey(bytes: number): boolean {
  return bytes >= SECRET_BYTES_MIN && bytes <= SECRET_BYTES_MAX;
}

const WRONG_VERSION = 'the server wants a version of the protocol that it was not asked for';

/** NegotiateProtocolVersion of an older server: a lower minor version, and no options, since none were asked for. */
function isOlderVersion(buffer: Buffer, start: number, end: number): boolean {
  if (end - start !== 13 || readInt32(buffer, start + 9) !== 0) return false;
  const version = readInt32(buffer, start + 5);
  return version >> 16 === 3 && (version & 0xffff) < LATEST_MINOR;
}

/**
 * Asks the server to cancel what backend `pid` runs. Resolves when the server has closed the connection, which it
 * does once the signal is sent: until then the backend must not run anything else. False: it has not in time, and may
 * do so any time. Never rejects.
 */
export function cancelBackend(
  address: ServerAddress,
  pid: number,
  secret: Buffer,
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    let late = false;
    const writer = new Writer(16);
    const request = writer
      .beginUntyped()
      .int32(CANCEL_REQUEST)
      .int32(pid)
      .bytes(secret)
      .end()
      .take();
    const send = (transport: SocketTransport): void => {
      transport.write(request);
    };
    const handler: TransportHandler = {
      onBytes(buffer, start, end) {
        const agreed = buffer[start] === 0x53;
        // The secret in clear to whoever answers would be a gift; without TLS the cancel is given up.
        if (end - start !== 1 || (!agreed && address.sslmode !== 'prefer')) transport.destroy();
        else if (!agreed) send(transport);
        else
          transport = secureClientTransport(transport, serverTlsOptions(address), () =>
            send(transport),
          );
      },
      onDrain() {
        // So few bytes never wait.
      },
      onClose() {
        clearTimeout(timer);
        resolve(!late);
      },
    };
    const timer = setTimeout(() => {
      late = true;
      transport.destroy();
    }, timeoutMs);
    let transport = connectTransport(address, handler, () => {
      if (!asksForTls(address)) send(transport);
      else transport.write(serialize.requestSsl());
    });
  });
}

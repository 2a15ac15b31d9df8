import { dirname, resolve } from 'node:path';
import type { Node } from 'yaml';
import type { ServerAddress } from './config.js';
import { limits } from './limits.js';
import type { Path, Reader } from './reader.js';
import { throughFile } from './scalars.js';
import type { Spec } from './spec.js';
import { suggest } from './suggest.js';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
const PARAMETERS = ['host', 'port', 'sslmode', 'sslrootcert'] as const;
const DEFAULT_PORT = 5432;
const EXAMPLE = 'postgres://user:password@host:5432/database';

/** A server's address as its URL says it, before certificates are read. */
type ParsedUrl = Omit<ServerAddress, 'sslRootCert'> & { readonly sslRootCertFile: string | null };

/**
 * Why a URL is no server address. Holds nothing of the URL itself: any part of it may be (part of)
 * a password.
 */
export class ServerUrlError extends Error {
  override readonly name = 'ServerUrlError';
  readonly cure: string;

  constructor(message: string, cure: string) {
    super(message);
    this.cure = cure;
  }
}

/**
 * `postgres://user:password@host:port/database?sslmode=...`, literally, by `${NAME}` or by
 * `file:PATH`.
 */
export function serverUrl(): Spec<ServerAddress> {
  return {
    jsonSchema: { type: 'string', minLength: 1 },
    read(reader: Reader, node: Node, path: Path) {
      const raw = reader.url(node, path, EXAMPLE);
      const url = raw && throughFile(reader, raw.text, path, 'the server URL');
      if (url === undefined) return undefined;
      let parsed: ParsedUrl;
      try {
        parsed = parseServerUrl(url);
      } catch (error) {
        if (!(error instanceof ServerUrlError)) throw error;
        reader.report(path, error.message, error.cure);
        return undefined;
      }
      const { sslRootCertFile, ...address } = parsed;
      if (sslRootCertFile === null) return { ...address, sslRootCert: null };
      const pem = reader.file(sslRootCertFile, path, 'sslrootcert');
      if (pem === undefined) return undefined;
      const folder = dirname(reader.surroundings.file);
      return { ...address, sslRootCert: resolve(folder, sslRootCertFile) };
    },
  };
}

/**
 * Reads a server URL as libpq does (PostgreSQL 18, 32.1.1.2), for one host: percent-encoding in
 * every part, IPv6 addresses in brackets, a socket directory as `?host=/path` or percent-encoded.
 * User and database must be named: what libpq would put in (the operating system's user) is a guess
 * in a proxy. Throws ServerUrlError.
 */
export function parseServerUrl(url: string): ParsedUrl {
  const match = /^(postgres|postgresql):\/\/([^/?]*)(\/[^?]*)?(?:\?(.*))?$/s.exec(url);
  if (match === null) throw new ServerUrlError('no PostgreSQL URL', `write ${EXAMPLE}`);
  const authority = match[2]!;
  const rest = `${match[3] ?? ''}${match[4] ?? ''}`;
  if (authority.indexOf('@') !== authority.lastIndexOf('@') || rest.includes('@')) {
    throw new ServerUrlError(
      'an @ in the wrong place of the server URL',
      'percent-encode @ as %40, / as %2F and ? as %3F in user and password',
    );
  }
  const at = authority.indexOf('@');
  const { user, password } = parseUser(at === -1 ? '' : authority.slice(0, at));
  const parameters = parseParameters(match[4] ?? '');
  const place = parseHost(authority.slice(at + 1));
  const host = parameters.get('host') ?? place.host;
  if (host === '') throw new ServerUrlError('the server URL names no host', `write ${EXAMPLE}`);
  const database = decode((match[3] ?? '/').slice(1), 'database');
  if (database === '') {
    throw new ServerUrlError('the server URL names no database', `write ${EXAMPLE}`);
  }
  return {
    host,
    port: parsePort(parameters.get('port') ?? place.port),
    database,
    user,
    password,
    ...parseSsl(parameters),
  };
}

function parseUser(userInfo: string): { user: string; password: string | null } {
  const colon = userInfo.indexOf(':');
  const user = decode(colon === -1 ? userInfo : userInfo.slice(0, colon), 'user');
  if (user === '') throw new ServerUrlError('the server URL names no user', `write ${EXAMPLE}`);
  const password = colon === -1 ? '' : decode(userInfo.slice(colon + 1), 'password');
  return { user, password: password === '' ? null : password };
}

function parseHost(text: string): { host: string; port: string } {
  if (text.includes(',')) {
    throw new ServerUrlError(
      'several hosts in one server URL',
      'name one server; further ones belong under replicas',
    );
  }
  const bracketed = /^\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1]!, port: bracketed[2] ?? '' };
  const [host = '', port = '', ...more] = text.split(':');
  if (more.length > 0 || /[[\]]/.test(text)) {
    throw new ServerUrlError(
      'the host of the server URL cannot be read',
      'write host:port; an IPv6 address stands in brackets: [::1]:5432',
    );
  }
  return { host: decode(host, 'host'), port };
}

function parsePort(text: string): number {
  if (text === '') return DEFAULT_PORT;
  const { min, max } = limits.serverPort;
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= min && port <= max) return port;
  const message = 'the port of the server URL is no number in range';
  throw new ServerUrlError(message, `write a port from ${min} to ${max} behind the host`);
}

function parseParameters(query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query === '' ? [] : query.split('&')) {
    const equals = part.indexOf('=');
    const name = decode(equals === -1 ? part : part.slice(0, equals), 'parameter');
    if (!(PARAMETERS as readonly string[]).includes(name)) {
      const meant = suggest(name, PARAMETERS);
      const cure = meant === null ? `known are ${PARAMETERS.join(', ')}` : `did you mean ${meant}?`;
      throw new ServerUrlError('an unknown parameter in the server URL', cure);
    }
    if (equals === -1) {
      throw new ServerUrlError(`the parameter ${name} has no value`, `write ${name}=value`);
    }
    parameters.set(name, decode(part.slice(equals + 1), name));
  }
  return parameters;
}

function parseSsl(
  parameters: ReadonlyMap<string, string>,
): Pick<ParsedUrl, 'sslmode' | 'sslRootCertFile'> {
  const written = parameters.get('sslmode') ?? 'prefer';
  const sslmode = SSL_MODES.find((mode) => mode === written);
  if (sslmode === undefined) {
    const message = 'the sslmode of the server URL is not known';
    throw new ServerUrlError(message, `write one of ${SSL_MODES.join(', ')}`);
  }
  // `system` (libpq 16) means the certificates that the system trusts, which is what null means
  // here.
  const file = parameters.get('sslrootcert') ?? 'system';
  return { sslmode, sslRootCertFile: file === 'system' || file === '' ? null : file };
}

function decode(text: string, part: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw new ServerUrlError(
      `bad percent-encoding in the ${part} of the server URL`,
      'write % itself as %25',
    );
  }
  if (decoded.includes('\0')) {
    throw new ServerUrlError(`a NUL character in the ${part} of the server URL`, 'leave it out');
  }
  return decoded;
}

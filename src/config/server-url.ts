import { createSecureContext } from 'node:tls';
import type { Node } from 'yaml';
import type { ServerAddress } from './config.js';
import { limits } from './limits.js';
import type { Path, Reader } from './reader.js';
import { throughFile } from './scalars.js';
import type { Spec } from './spec.js';
import { suggest } from '../util/suggest.js';

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
const CHANNEL_BINDINGS = ['disable', 'prefer', 'require'] as const;
/** Parameters that name PEM files. */
const FILES = { sslrootcert: 'sslRootCert', sslcert: 'sslCert', sslkey: 'sslKey' } as const;
const PARAMETERS = [
  ...['host', 'port', 'sslmode', 'channel_binding'],
  ...Object.keys(FILES),
] as readonly string[];
const DEFAULT_PORT = 5432;
const EXAMPLE = 'postgres://user:password@host:5432/database';

type Pems = Pick<ServerAddress, 'sslRootCert' | 'sslCert' | 'sslKey'>;
/** A server's address as its URL says it, with the names of PEM files. */
type ParsedUrl = Omit<ServerAddress, keyof Pems> & { readonly files: Partial<Pems> };

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
      const { files, ...address } = parsed;
      const pems = readPems(reader, path, files);
      return pems === undefined ? undefined : { ...address, ...pems };
    },
  };
}

/** Undefined where a file cannot be read or used (reported). */
function readPems(reader: Reader, path: Path, files: Partial<Pems>): Pems | undefined {
  const pems: Record<keyof Pems, string | null> = {
    sslRootCert: null,
    sslCert: null,
    sslKey: null,
  };
  for (const [parameter, field] of Object.entries(FILES)) {
    const file = files[field];
    if (file === undefined || file === null) continue;
    const pem = reader.file(file, path, parameter);
    if (pem === undefined) return undefined;
    pems[field] = pem;
  }
  const { sslRootCert: ca, sslCert: cert, sslKey: key } = pems;
  try {
    createSecureContext({
      ...(ca !== null && { ca }),
      ...(cert !== null && key !== null && { cert, key }),
    });
  } catch (error) {
    // OpenSSL's reasons name no contents.
    const reason = (error as { reason?: string }).reason ?? 'no valid PEM';
    const message = `OpenSSL does not take ${Object.keys(FILES).join(', ')} (${reason})`;
    reader.report(path, message, 'name PEM files; sslkey is the unencrypted key of sslcert');
    return undefined;
  }
  return pems;
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
    if (!PARAMETERS.includes(name)) {
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
): Pick<ParsedUrl, 'sslmode' | 'channelBinding' | 'files'> {
  const sslmode = parseChoice(parameters, 'sslmode', SSL_MODES);
  const channelBinding = parseChoice(parameters, 'channel_binding', CHANNEL_BINDINGS);
  if (channelBinding === 'require' && sslmode === 'disable') {
    const message = 'channel_binding=require in the server URL, but TLS is off';
    throw new ServerUrlError(message, 'write sslmode=require or verify-full');
  }
  const files: { -readonly [K in keyof Pems]?: string } = {};
  for (const [parameter, field] of Object.entries(FILES)) {
    const file = parameters.get(parameter) ?? '';
    // `sslrootcert=system` (libpq 16) means the authorities that are trusted anyway.
    if (file !== '' && !(field === 'sslRootCert' && file === 'system')) files[field] = file;
  }
  if ((files.sslCert === undefined) !== (files.sslKey === undefined)) {
    const message = 'only one of sslcert and sslkey in the server URL';
    throw new ServerUrlError(message, 'write both, or none');
  }
  return { sslmode, channelBinding, files };
}

/** `prefer` is the default of both. */
function parseChoice<const C extends readonly string[]>(
  parameters: ReadonlyMap<string, string>,
  name: string,
  choices: C,
): C[number] {
  const written = parameters.get(name) ?? 'prefer';
  if (choices.includes(written)) return written;
  const message = `the ${name} of the server URL is not known`;
  throw new ServerUrlError(message, `write one of ${choices.join(', ')}`);
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

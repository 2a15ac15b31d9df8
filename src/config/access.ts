import { createSecureContext } from 'node:tls';
import type { Config, TlsConfig, UserConfig } from './config.js';
import { quoted, type Path, type Reader } from './reader.js';
import type { RawConfig } from './schema.js';

/** Formats of pg_authid.rolpassword (PostgreSQL 18, 52.8). */
const SCRAM_VERIFIER =
  /^SCRAM-SHA-256\$[0-9]{1,9}:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$/;
const MD5_VERIFIER = /^md5[0-9a-f]{32}$/;

/** Whether only programs on this machine can reach a listener on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host);
}

/** Reads `listen.tls`; null for none, and where it has faults (reported). */
export function readTls(reader: Reader, raw: RawConfig): TlsConfig | null {
  const { tls } = raw.listen;
  if (tls === undefined || tls.mode === 'disable') return null;
  const path: Path = ['listen', 'tls'];
  for (const key of ['cert', 'key'] as const) {
    if (tls[key] !== undefined || reader.has([...path, key])) continue;
    const cure = `write ${key}: PATH, or mode: disable`;
    reader.report(path, `"${key}" is missing for TLS mode ${tls.mode}`, cure);
  }
  if (tls.cert === undefined || tls.key === undefined) return null;
  const clientCa = tls.client_ca ?? null;
  try {
    createSecureContext({ cert: tls.cert, key: tls.key, ...(clientCa && { ca: clientCa }) });
  } catch (error) {
    // OpenSSL's reasons ("key values mismatch") name no contents.
    const reason = (error as { reason?: string }).reason ?? 'not a valid PEM pair';
    const cure = 'name a certificate and the unencrypted private key that belongs to it';
    reader.report(path, `OpenSSL does not take cert and key (${reason})`, cure);
    return null;
  }
  return { mode: tls.mode, cert: tls.cert, key: tls.key, clientCa };
}

/** Reads `auth`, whose default depends on where the proxy listens. */
export function readAuth(reader: Reader, raw: RawConfig): Config['auth'] {
  const method = raw.auth.method ?? 'trust';
  const path: Path = ['auth'];
  if (raw.auth.method === undefined && !reader.has(['auth', 'method'])) {
    if (!isLoopback(raw.listen.host)) {
      reader.report(
        reader.has(path) ? path : ['listen', 'host'],
        'without auth.method everybody who can reach this address would be let in',
        'write auth: { method: scram-sha-256, users: [...] }, or listen on 127.0.0.1',
      );
    }
  }
  const users = readUsers(reader, raw, method);
  if (method !== 'trust' && raw.auth.users.length === 0 && !reader.has(['auth', 'users'])) {
    const cure = 'write users: [ { name: NAME, password: "${NAME_PASSWORD}" } ]';
    reader.report(path, `nobody can log in: ${method} needs users`, cure);
  }
  const clientCa = raw.listen.tls?.client_ca;
  if (method === 'cert' && (clientCa === undefined || raw.listen.tls?.mode === 'disable')) {
    if (!reader.has(['listen', 'tls', 'client_ca'])) {
      const cure = 'write listen: { tls: { cert: ..., key: ..., client_ca: PATH } }';
      reader.report(['auth', 'method'], 'cert needs TLS with a client_ca', cure);
    }
  }
  return { method, users };
}

type Method = Config['auth']['method'];

function readUsers(
  reader: Reader,
  raw: RawConfig,
  method: Method,
): ReadonlyMap<string, UserConfig> {
  const users = new Map<string, UserConfig>();
  raw.auth.users.forEach(({ name, password, role }, index) => {
    const path: Path = ['auth', 'users', index];
    if (name !== undefined && users.has(name)) {
      reader.report([...path, 'name'], `user ${quoted(name)} is listed twice`, 'keep one of them');
    }
    checkPassword(reader, path, method, password);
    if (name === undefined) return;
    // Under trust nobody is asked; keeping the password would only be a way to lose it.
    const kept = method === 'trust' ? null : (password ?? null);
    users.set(name, Object.freeze({ name, password: kept, role }));
  });
  return users;
}

function checkPassword(
  reader: Reader,
  userPath: Path,
  method: Method,
  password: string | undefined,
): void {
  if (method === 'trust' || method === 'cert') return;
  const path = [...userPath, 'password'];
  if (password === undefined) {
    if (reader.has(path)) return;
    const cure = 'write password: "${NAME}", "file:PATH", or a verifier';
    reader.report(userPath, `a user without a password cannot log in by ${method}`, cure);
    return;
  }
  const other = method === 'md5' ? SCRAM_VERIFIER : MD5_VERIFIER;
  if (other.test(password)) {
    const kind = method === 'md5' ? 'a SCRAM-SHA-256' : 'an md5';
    const cure = `write the plain password or a verifier for ${method}`;
    reader.report(path, `${kind} verifier cannot be used with method ${method}`, cure);
  }
}

import { createSecureContext } from 'node:tls';
import { parseVerifier } from '../protocol/scram.js';
import { readRules } from './auth-rules.js';
import type { AuthConfig, AuthMethod, AuthRule, TlsConfig, UserConfig } from './config.js';
import { quoted, type Path, type Reader } from './reader.js';
import { SETTING_NAME, type RawConfig } from './schema.js';

/** How pg_authid.rolpassword begins (PostgreSQL 18, 52.8). */
const SCRAM_VERIFIER = /^SCRAM-SHA-256\$/;
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
  const clientCa = tls.client_ca ?? null;
  if (clientCa === null && tls.mode.startsWith('verify') && !reader.has([...path, 'client_ca'])) {
    const cure = 'write client_ca: PATH, or mode: require';
    reader.report(path, `"client_ca" is missing for TLS mode ${tls.mode}`, cure);
  }
  if (tls.cert === undefined || tls.key === undefined) return null;
  try {
    createSecureContext({ cert: tls.cert, key: tls.key, ...(clientCa && { ca: clientCa }) });
  } catch (error) {
    // OpenSSL's reasons ("key values mismatch") name no contents.
    const reason = (error as { reason?: string }).reason ?? 'not a valid PEM pair';
    const cure = 'name a certificate and the unencrypted private key that belongs to it';
    reader.report(path, `OpenSSL does not take cert and key (${reason})`, cure);
    return null;
  }
  return { mode: tls.mode, minVersion: tls.min_version, cert: tls.cert, key: tls.key, clientCa };
}

/** Reads `auth`, whose default depends on where the proxy listens. */
export function readAuth(reader: Reader, raw: RawConfig, tls: TlsConfig | null): AuthConfig {
  const method = raw.auth.method ?? 'trust';
  const path: Path = ['auth'];
  const open = raw.auth.method === undefined && raw.auth.rules === undefined;
  if (open && !reader.has(['auth', 'method']) && !raw.listen.host.every(isLoopback)) {
    reader.report(
      reader.has(path) ? path : ['listen', 'host'],
      'without auth.method everybody who can reach this address would be let in',
      'write auth: { method: scram-sha-256, users: [...] }, or listen on 127.0.0.1',
    );
  }
  const rules = readRules(reader, raw, { method: raw.auth.method ?? null, tls });
  const methods = new Set(rules.map((rule) => rule.method));
  const users = readUsers(reader, raw, methods);
  const asking = [...methods].find((used) => used !== 'trust' && used !== 'reject');
  if (asking !== undefined && raw.auth.users.length === 0 && !reader.has(['auth', 'users'])) {
    const cure = 'write users: [ { name: NAME, password: "${NAME_PASSWORD}" } ]';
    reader.report(path, `nobody can log in: ${asking} needs users`, cure);
  }
  if (method === 'cert' && raw.auth.rules === undefined) checkCertificates(reader, raw);
  return { method, users, rules };
}

function checkCertificates(reader: Reader, raw: RawConfig): void {
  const { tls } = raw.listen;
  const missing = tls?.client_ca === undefined || tls.mode === 'disable';
  if (!missing || reader.has(['listen', 'tls', 'client_ca'])) return;
  const cure = 'write listen: { tls: { cert: ..., key: ..., client_ca: PATH } }';
  reader.report(['auth', 'method'], 'cert needs TLS with a client_ca', cure);
}

type Methods = ReadonlySet<AuthRule['method']>;

function readUsers(
  reader: Reader,
  raw: RawConfig,
  methods: Methods,
): ReadonlyMap<string, UserConfig> {
  const users = new Map<string, UserConfig>();
  const asked = PASSWORD_METHODS.some((method) => methods.has(method));
  raw.auth.users.forEach((user, index) => {
    const { name, password, role } = user;
    const path: Path = ['auth', 'users', index];
    if (name !== undefined && users.has(name)) {
      reader.report([...path, 'name'], `user ${quoted(name)} is listed twice`, 'keep one of them');
    }
    checkPassword(reader, path, methods, password);
    const settings = readSettings(reader, [...path, 'settings'], user.settings);
    if (name === undefined) return;
    const databases = user.databases ?? null;
    const validUntil = user.valid_until ?? null;
    // Where nobody is asked for it, keeping the password would only be a way to lose it.
    const kept = asked ? (password ?? null) : null;
    const maxClients = user.max_clients ?? null;
    const own = { name, password: kept, role, databases, settings, validUntil, maxClients };
    users.set(name, Object.freeze(own));
  });
  return users;
}

const PASSWORD_METHODS = ['md5', 'scram-sha-256'] as const satisfies readonly AuthMethod[];

function checkPassword(
  reader: Reader,
  userPath: Path,
  methods: Methods,
  password: string | undefined,
): void {
  const asking = PASSWORD_METHODS.filter((method) => methods.has(method));
  const [method] = asking;
  if (method === undefined) return;
  const path = [...userPath, 'password'];
  if (password === undefined) {
    // Such a user may come in by a rule of another kind.
    if (reader.has(path) || asking.length < methods.size) return;
    const cure = 'write password: "${NAME}", "file:PATH", or a verifier';
    reader.report(userPath, `a user without a password cannot log in by ${method}`, cure);
    return;
  }
  if (SCRAM_VERIFIER.test(password) && parseVerifier(password) === null) {
    const cure = 'copy it from pg_authid.rolpassword, whole';
    reader.report(path, 'a SCRAM-SHA-256 verifier that cannot be read', cure);
    return;
  }
  // A SCRAM verifier fits both: with md5 its user is asked by SCRAM.
  if (MD5_VERIFIER.test(password) && !asking.includes('md5')) {
    const cure = `write the plain password or a verifier for ${method}`;
    reader.report(path, `an md5 verifier cannot be used with method ${method}`, cure);
  }
}

function readSettings(
  reader: Reader,
  path: Path,
  raw: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  for (const [name, value] of raw) {
    if (SETTING_NAME.test(name)) settings.set(name.toLowerCase(), value);
    else {
      const message = `${quoted(name)} is no name of a setting`;
      reader.report([...path, name], message, 'write it as SHOW takes it');
    }
  }
  return settings;
}

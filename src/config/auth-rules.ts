import { parseNetwork } from '../net/address.js';
import type { AuthConfig, AuthRule, NameMapping, NamePattern, TlsConfig } from './config.js';
import { quoted, type Path, type Reader } from './reader.js';
import type { RawConfig } from './schema.js';
import { suggest } from '../util/suggest.js';

type RawRule = NonNullable<RawConfig['auth']['rules']>[number];
type Maps = ReadonlyMap<string, readonly NameMapping[]>;

const ROLES = ['admin', 'monitor', 'app'] as const;

/** What rules are read with. */
export interface RuleDefaults {
  /** Null: none is written, so that every rule must name its own. */
  readonly method: AuthConfig['method'] | null;
  readonly tls: TlsConfig | null;
}

/** Reads `auth.rules` and `auth.maps`; without rules, those that `auth.method` stands for. */
export function readRules(
  reader: Reader,
  raw: RawConfig,
  { method, tls }: RuleDefaults,
): readonly AuthRule[] {
  const maps = readMaps(reader, raw.auth.maps);
  const asked = tls?.mode === 'verify-ca' || tls?.mode === 'verify-full' ? tls.mode : null;
  const fallback = readMap(reader, ['auth', 'map'], raw.auth.map, maps);
  const all = {
    databases: [{ kind: 'all' }],
    users: [{ kind: 'all' }],
    addresses: ['all'],
  } as const;
  if (raw.auth.rules === undefined) {
    const rule = { ...all, method: method ?? 'trust', map: fallback };
    return [
      { ...rule, type: 'local', clientCert: null },
      { ...rule, type: 'host', clientCert: asked },
    ];
  }
  return raw.auth.rules.map((rule, index): AuthRule => {
    const path: Path = ['auth', 'rules', index];
    checkRule(reader, path, rule, { method, tls });
    const type = rule.type ?? 'host';
    return {
      type,
      databases: rule.database.flatMap((text) => readPattern(reader, [...path, 'database'], text)),
      users: rule.user.flatMap((text) => readUserPattern(reader, [...path, 'user'], text)),
      addresses: rule.address.flatMap((text) => readAddress(reader, [...path, 'address'], text)),
      method: rule.method ?? method ?? 'reject',
      map: readMap(reader, [...path, 'map'], rule.map, maps) ?? fallback,
      clientCert: rule.clientcert ?? (type === 'local' ? null : asked),
    };
  });
}

function checkRule(reader: Reader, path: Path, rule: RawRule, { method, tls }: RuleDefaults): void {
  const { type } = rule;
  if (rule.method === undefined && method === null && !reader.has([...path, 'method'])) {
    const cure = 'write method: scram-sha-256, or auth.method for all rules';
    reader.report(path, 'a rule without a method, and no auth.method', cure);
  }
  if (type === 'local' && reader.has([...path, 'address'])) {
    const cure = 'leave it out, or write type: host';
    reader.report([...path, 'address'], 'a Unix socket has no addresses', cure);
  }
  if (type === 'hostssl' && tls === null && !reader.reported(['listen', 'tls'])) {
    reader.report([...path, 'type'], 'hostssl without TLS', 'write listen: { tls: ... }');
  }
  const certificate =
    (rule.method ?? method) === 'cert' ? 'method cert' : rule.clientcert && 'clientcert';
  if (certificate === undefined || type === undefined) return;
  if (type !== 'hostssl') {
    const message = `${certificate} in a rule of type ${type}`;
    reader.report(path, message, 'write type: hostssl, or another method');
  } else if (tls !== null && tls.clientCa === null) {
    const cure = 'write listen: { tls: { client_ca: PATH } }';
    reader.report(path, `${certificate} without a client_ca`, cure);
  }
}

function readPattern(reader: Reader, path: Path, text: string): NamePattern[] {
  if (text === 'all') return [{ kind: 'all' }];
  if (!text.startsWith('/')) return [{ kind: 'name', name: text }];
  const regex = readRegex(reader, path, text);
  return regex === null ? [] : [{ kind: 'regex', regex }];
}

function readUserPattern(reader: Reader, path: Path, text: string): NamePattern[] {
  if (!text.startsWith('+')) return readPattern(reader, path, text);
  const role = ROLES.find((known) => text === `+${known}`);
  if (role !== undefined) return [{ kind: 'role', role }];
  reader.report(path, `${quoted(text)} is no role`, `write +${ROLES.join(', +')}`);
  return [];
}

function readRegex(reader: Reader, path: Path, text: string): RegExp | null {
  try {
    return new RegExp(text.slice(1), 'u');
  } catch {
    const cure = 'write it as in JavaScript, without a slash at its end';
    reader.report(path, `${quoted(text)} is no regular expression`, cure);
    return null;
  }
}

function readAddress(reader: Reader, path: Path, text: string): AuthRule['addresses'] {
  if (text === 'all' || text === 'samehost' || text === 'samenet') return [text];
  const network = parseNetwork(text);
  if (network !== null) return [network];
  const cure = 'write all, samehost, samenet, 10.1.2.3, 10.0.0.0/8 or fd00::/8';
  reader.report(path, `${quoted(text)} is no address and no network`, cure);
  return [];
}

function readMaps(reader: Reader, raw: RawConfig['auth']['maps']): Maps {
  return new Map(
    [...raw].map(([name, mappings]) => [
      name,
      mappings.flatMap(({ certificate, user }, index): NameMapping[] => {
        if (certificate === undefined || user === undefined) return [];
        if (!certificate.startsWith('/')) return [{ certificate, user }];
        const regex = readRegex(reader, ['auth', 'maps', name, index, 'certificate'], certificate);
        return regex === null ? [] : [{ certificate: regex, user }];
      }),
    ]),
  );
}

function readMap(
  reader: Reader,
  path: Path,
  name: string | undefined,
  maps: Maps,
): readonly NameMapping[] | null {
  if (name === undefined) return null;
  const map = maps.get(name);
  if (map !== undefined) return map;
  const meant = suggest(name, [...maps.keys()]);
  const cure = meant === null ? 'write it below auth.maps' : `did you mean ${meant}?`;
  reader.report(path, `there is no map ${quoted(name)}`, cure);
  return null;
}

import type { AuthConfig, AuthRule, NameMapping, NamePattern } from '../config/config.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import { networkHas, ownNetworks, parseAddress, type AddressBytes } from '../net/address.js';

/** Where a client comes from, and what it wants to be. */
export interface Caller {
  /** Null: a Unix socket. */
  readonly address: string | null;
  readonly encrypted: boolean;
  readonly user: string;
  readonly database: string;
}

/** The rule that decides about a caller: the first that fits, as in pg_hba.conf; null: none fits. */
export function ruleFor({ rules, users }: AuthConfig, caller: Caller): AuthRule | null {
  const address = caller.address === null ? null : parseAddress(caller.address);
  const role = users.get(caller.user)?.role;
  for (const rule of rules) {
    if (!fitsConnection(rule, caller, address)) continue;
    if (!rule.databases.some((pattern) => fitsName(pattern, caller.database))) continue;
    const fits = rule.users.some((pattern) =>
      pattern.kind === 'role' ? pattern.role === role : fitsName(pattern, caller.user),
    );
    if (fits) return rule;
  }
  return null;
}

function fitsConnection(rule: AuthRule, caller: Caller, address: AddressBytes | null): boolean {
  if (caller.address === null || rule.type === 'local') {
    return caller.address === null && rule.type === 'local';
  }
  if (rule.type !== 'host' && (rule.type === 'hostssl') !== caller.encrypted) return false;
  return rule.addresses.some((allowed) => {
    if (allowed === 'all') return true;
    if (address === null) return false;
    if (typeof allowed === 'object') return networkHas(allowed, address);
    const own = ownNetworks(allowed === 'samehost' ? 'host' : 'net');
    return own.some((network) => networkHas(network, address));
  });
}

function fitsName(pattern: NamePattern, name: string): boolean {
  switch (pattern.kind) {
    case 'all':
      return true;
    case 'name':
      return pattern.name === name;
    case 'regex':
      return pattern.regex.test(name);
    case 'role':
      return false;
  }
}

/** Whether a certificate of this common name may log in as `user`. Without a map the names must be equal. */
export function certificateFits(
  map: readonly NameMapping[] | null,
  certificate: string,
  user: string,
): boolean {
  if (map === null) return certificate === user;
  return map.some((mapping) => {
    if (typeof mapping.certificate === 'string') {
      if (mapping.certificate !== certificate) return false;
      return mapping.user === 'all' || mapping.user === user;
    }
    const match = mapping.certificate.exec(certificate);
    if (match === null) return false;
    return mapping.user === 'all' || mapping.user.replaceAll('\\1', () => match[1] ?? '') === user;
  });
}

/** What a caller is told whom no rule lets in. */
export function turnedAway(rule: AuthRule | null, caller: Caller): SqlError {
  const from = caller.address === null ? '[local]' : plainAddress(caller.address);
  const encryption = caller.encrypted ? 'SSL encryption' : 'no encryption';
  const whom = `host "${from}", user "${caller.user}", database "${caller.database}", ${encryption}`;
  const message =
    rule === null ? `no auth.rules entry for ${whom}` : `auth.rules rejects connection for ${whom}`;
  return sqlError('invalid_authorization_specification', message, { severity: 'FATAL' });
}

/** As people write it: sockets that listen to both families show IPv4 as ::ffff:1.2.3.4. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

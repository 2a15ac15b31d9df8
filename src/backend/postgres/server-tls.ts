import type { ConnectionOptions } from 'node:tls';
import type { ServerAddress } from '../../config/config.js';

/** Whether TLS is asked for. Never on a Unix socket, as in libpq. */
export function asksForTls({ sslmode, host }: ServerAddress): boolean {
  return sslmode !== 'disable' && !host.startsWith('/');
}

/** How a server must show who it is, as libpq's sslmode says (PostgreSQL 18, 32.19.1). */
export function serverTlsOptions(address: ServerAddress): ConnectionOptions {
  const { host, sslmode, sslRootCert: ca, sslCert: cert, sslKey: key } = address;
  // With an authority at hand `require` verifies as verify-ca does.
  const verifyCa = sslmode === 'verify-ca' || (sslmode === 'require' && ca !== null);
  return {
    // SNI takes names only.
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    host,
    rejectUnauthorized: verifyCa || sslmode === 'verify-full',
    ...(ca !== null && { ca }),
    ...(cert !== null && key !== null && { cert, key }),
    ...(verifyCa && { checkServerIdentity: () => undefined }),
  };
}

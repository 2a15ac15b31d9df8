import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type TLSSocketOptions } from 'node:tls';
import type { TlsConfig } from '../config/config.js';
import { tlsServerEndPoint } from '../net/channel-binding.js';

/** The name of the protocol in ALPN (PostgreSQL 18, 54.2.11); a handshake that offers only others fails. */
export const ALPN = 'postgresql';

/** What a client that asks for TLS gets. */
export interface TlsOffer {
  readonly options: TLSSocketOptions;
  /** Who does not ask is refused. */
  readonly required: boolean;
  /** tls-server-end-point of the certificate; null: it has none, SCRAM cannot be bound to it. */
  readonly channel: Buffer | null;
}

/** Makes the secure context once for each state of `listen.tls`: a reload with other certificates gives a new one. */
export class ClientTls {
  private config: TlsConfig | null = null;
  private offer: TlsOffer | null = null;

  /** Null: no TLS. */
  offerOf(config: TlsConfig | null): TlsOffer | null {
    if (config === this.config) return this.offer;
    this.config = config;
    this.offer = config === null ? null : makeOffer(config);
    return this.offer;
  }
}

function makeOffer(config: TlsConfig): TlsOffer {
  const options = {
    secureContext: makeContext(config),
    ALPNProtocols: [ALPN],
    requestCert: config.clientCa !== null,
    // A client without a good certificate is told so by its login.
    rejectUnauthorized: false,
  };
  const channel = tlsServerEndPoint(config.cert);
  return { options, required: config.mode !== 'prefer', channel };
}

function makeContext({ cert, key, clientCa, minVersion }: TlsConfig): SecureContext {
  return createSecureContext({
    cert,
    key,
    minVersion,
    ...(clientCa !== null && { ca: clientCa }),
    // As PostgreSQL: a resumed session would skip the check of the client's certificate, a renegotiation repeat it.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
}

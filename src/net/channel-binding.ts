import { createHash, X509Certificate } from 'node:crypto';

/*
 * tls-server-end-point (RFC 5929, section 4): the hash of the server's certificate, by the hash function of its
 * signature; SHA-256 where that is MD5 or SHA-1.
 */

/** Hash functions of signature algorithms, by OID. Ed25519 and Ed448 have none: the RFC leaves them undefined. */
const SIGNATURE_HASHES: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', // md5WithRSA
  '1.2.840.113549.1.1.5': 'sha256', // sha1WithRSA
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.10045.4.1': 'sha256', // ecdsa-with-SHA1
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
};
const RSASSA_PSS = '1.2.840.113549.1.1.10';
/** The `hashAlgorithm` of RSASSA-PSS. */
const PSS_HASHES: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha256', // SHA-1
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
/** `[0]` of RSASSA-PSS-params. */
const PSS_HASH_FIELD = 0xa0;

/** Channel-binding data of a server certificate (PEM or DER); null where none is defined for it. */
export function tlsServerEndPoint(certificate: string | Buffer): Buffer | null {
  const { raw } = new X509Certificate(certificate);
  const hash = signatureHash(raw);
  return hash === null ? null : createHash(hash).update(raw).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature } (RFC 5280, 4.1). */
function signatureHash(der: Buffer): string | null {
  const certificate = child(der, 0, SEQUENCE);
  const signed = certificate === null ? null : child(certificate, 0, SEQUENCE);
  if (certificate === null || signed === null) return null;
  const algorithm = child(
    certificate,
    signed.byteOffset - certificate.byteOffset + signed.length,
    SEQUENCE,
  );
  const name = algorithm === null ? null : child(algorithm, 0, OBJECT_IDENTIFIER);
  if (algorithm === null || name === null) return null;
  const oid = objectIdentifier(name);
  if (oid !== RSASSA_PSS) return SIGNATURE_HASHES[oid] ?? null;
  const parameters = child(algorithm, 2 + name.length, SEQUENCE);
  const field = parameters === null ? null : child(parameters, 0, PSS_HASH_FIELD);
  // Left out, the hash is SHA-1.
  if (field === null) return 'sha256';
  const pssAlgorithm = child(field, 0, SEQUENCE);
  const pssName = pssAlgorithm === null ? null : child(pssAlgorithm, 0, OBJECT_IDENTIFIER);
  return pssName === null ? null : (PSS_HASHES[objectIdentifier(pssName)] ?? null);
}

/** The contents of the DER value at `at`; null where it has another tag. */
function child(der: Buffer, at: number, tag: number): Buffer | null {
  if (der[at] !== tag) return null;
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return der.subarray(at + 2, at + 2 + first);
  const bytes = first & 0x7f;
  if (bytes === 0 || bytes > 4 || at + 2 + bytes > der.length) return null;
  const start = at + 2 + bytes;
  return der.subarray(start, start + der.readUIntBE(at + 2, bytes));
}

function objectIdentifier(bytes: Buffer): string {
  const parts: number[] = [];
  let value = 0;
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (parts.length > 0) parts.push(value);
    else
      parts.push(
        Math.min(2, Math.floor(value / 40)),
        value - 40 * Math.min(2, Math.floor(value / 40)),
      );
    value = 0;
  }
  return parts.join('.');
}

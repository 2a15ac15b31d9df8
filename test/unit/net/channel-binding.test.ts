import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tlsServerEndPoint } from '../../../src/net/channel-binding.js';

const folder = mkdtempSync(join(tmpdir(), 'shardgate-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

function certificate(...options: readonly string[]): string {
  const out = join(folder, 'cert.pem');
  const base = ['req', '-x509', '-nodes', '-subj', '/CN=x', '-keyout', join(folder, 'key.pem')];
  execFileSync('openssl', [...base, '-out', out, ...options], { stdio: 'ignore' });
  return readFileSync(out, 'utf8');
}

const rsa = ['-newkey', 'rsa:2048'];
const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

describe('tls-server-end-point is the hash of the certificate by its own hash function', () => {
  test.each([
    ['sha256', [...rsa, '-sha256']],
    ['sha384', [...rsa, '-sha384']],
    ['sha512', [...rsa, '-sha512', '-sigopt', 'rsa_padding_mode:pss']],
    ['sha384', [...ec, '-sha384']],
    // SHA-1 is too weak to be kept.
    ['sha256', [...rsa, '-sha1']],
  ])('%s: %j', (hash, options) => {
    const pem = certificate(...options);
    const { raw } = new X509Certificate(pem);
    const expected = createHash(hash).update(raw).digest('hex');
    expect(tlsServerEndPoint(pem)?.toString('hex')).toBe(expected);
    expect(tlsServerEndPoint(raw)?.toString('hex')).toBe(expected);
  });

  test('a signature without a hash function has none', () => {
    expect(tlsServerEndPoint(certificate('-newkey', 'ed25519'))).toBeNull();
  });
});

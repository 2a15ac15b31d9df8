import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM files of one certificate. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of its own in a temporary folder; made with openssl. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'shardgate-tls-'));
  /** The authority's own certificate. */
  readonly ca: string;

  constructor(name = 'test authority') {
    this.ca = join(this.folder, 'ca.crt');
    const key = join(this.folder, 'ca.key');
    this.#openssl(
      'req',
      '-x509',
      ...newKey,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      key,
      '-out',
      this.ca,
    );
  }

  /** A certificate for `name`, valid for 127.0.0.1 too. */
  issue(name: string, hash = 'sha256'): CertificateFiles {
    const path = (ending: string): string => join(this.folder, `${name}-${hash}.${ending}`);
    const files = { cert: path('crt'), key: path('key') };
    writeFileSync(path('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    this.#openssl(
      'req',
      ...newKey,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      files.key,
      '-out',
      path('csr'),
    );
    this.#openssl(
      ...['x509', '-req', '-in', path('csr'), '-out', files.cert, '-days', '2', `-${hash}`],
      ...['-CA', this.ca, '-CAkey', join(this.folder, 'ca.key'), '-CAcreateserial'],
      ...['-extfile', path('ext')],
    );
    return files;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: 'ignore' });
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const;

/** The contents of both files, as node:tls takes them. */
export function pemOf({ cert, key }: CertificateFiles): { cert: string; key: string } {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

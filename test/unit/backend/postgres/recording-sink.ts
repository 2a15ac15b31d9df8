import type { BackendError } from '../../../../src/backend/backend-error.js';
import type { OidMap } from '../../../../src/backend/oids/oid-map.js';
import type { BackendOwner } from '../../../../src/backend/postgres/backend-sink.js';
import type { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import { LatencyHistogram } from '../../../../src/metrics/metrics.js';
import { readSqlState } from '../../../../src/protocol/backend-messages.js';

/** Owner and sink of a backend in one: notes everything that it is told. */
export class RecordingSink implements BackendOwner {
  readonly latency = new LatencyHistogram();
  readonly traffic = { bytesIn: 0, bytesOut: 0 };
  readonly pins = { count: 0, max: 1 };
  oids: OidMap | null = null;
  /** What a client would have received. */
  passed = '';
  /** Types of captured messages. */
  capturedTypes = '';
  /** Captured rows and copy data. */
  capturedBytes = '';
  readonly statuses: string[] = [];
  /** SQLSTATEs. */
  readonly failures: string[] = [];
  readonly closes: BackendError[] = [];
  /** Every call by name, in order. */
  readonly calls: string[] = [];
  /** Answer of `pass`; false: the client is slow. */
  takes: () => boolean = () => true;
  /** Answer of `capturedData`; false: not its turn. */
  takesData: () => boolean = () => true;
  private readonly waiting: { when: () => boolean; then: () => void }[] = [];

  pass(_backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    this.passed += buffer.toString('latin1', start, end);
    this.note('pass');
    return this.takes();
  }

  captured(
    _backend: BackendConnection,
    type: number,
    _buffer: Buffer,
    _start: number,
    _end: number,
  ): void {
    this.capturedTypes += String.fromCharCode(type);
    this.note('captured');
  }

  capturedData(_backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    if (!this.takesData()) return false;
    this.capturedBytes += buffer.toString('latin1', start, end);
    this.note('capturedData');
    return true;
  }

  failed(
    _backend: BackendConnection,
    _action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.failures.push(readSqlState(buffer, start, end));
    this.note('failed');
  }

  copyInStarted(): void {
    this.note('copyInStarted');
  }

  settled(): void {
    this.note('settled');
  }

  ready(_backend: BackendConnection, status: number, action: number): void {
    this.statuses.push(String.fromCharCode(status) + String(action >> 4));
    this.note('ready');
  }

  drained(): void {
    this.note('drained');
  }

  closed(_backend: BackendConnection, error: BackendError): void {
    this.closes.push(error);
    this.note('closed');
  }

  release(): void {
    this.note('release');
  }

  abandon(): void {
    this.note('abandon');
  }

  discard(): void {
    this.note('discard');
  }

  lost(): void {
    this.note('lost');
  }

  /** Resolves once the condition holds; looked at after every call. */
  until(when: () => boolean): Promise<void> {
    if (when()) return Promise.resolve();
    return new Promise((then) => this.waiting.push({ when, then }));
  }

  private note(call: string): void {
    this.calls.push(call);
    for (const { when, then } of this.waiting) if (when()) then();
  }
}

import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import type { Shard } from '../../../src/keyspace/topology.js';
import type { CommitHost, CrossShardPolicy } from '../../../src/transaction/participants.js';
import type { Outcome } from '../../../src/transaction/operation.js';
import { UnitOfWork } from '../../../src/transaction/unit-of-work.js';
import { readErrorFields } from '../../../src/protocol/backend-messages.js';
import { RecordingSink } from '../backend/postgres/recording-sink.js';
import { replies } from '../backend/postgres/replies.js';
import { ScriptedTransport } from '../backend/postgres/scripted-transport.js';

/** One shard's backend inside a transaction; the test plays the server. */
export class ScriptedParticipant {
  readonly owner = new RecordingSink();
  readonly backend: BackendConnection;
  private readonly transport = new ScriptedTransport(64);

  constructor(name: string, index: number) {
    this.backend = this.transport.backend(this.owner);
    this.backend.shard = shardNamed(name, index);
    this.backend.status = 0x54;
  }

  /** The Queries that came since this was asked last. */
  asked(): string[] {
    const bytes = Buffer.from(this.transport.written, 'latin1');
    this.transport.written = '';
    const queries: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (bytes[at] === 0x51) queries.push(bytes.toString('utf8', at + 5, end - 1));
      at = end;
    }
    return queries;
  }

  /** Answers one Query. */
  answers(tag: string, status = 'I'): void {
    this.transport.deliver(Buffer.concat([replies.complete(tag), replies.ready(status)]));
  }

  fails(state: string, status = 'I'): void {
    this.transport.deliver(Buffer.concat([replies.error(state), replies.ready(status)]));
  }

  says(...messages: readonly Buffer[]): void {
    this.transport.deliver(Buffer.concat(messages));
  }

  breaksOff(): void {
    this.transport.handler.onClose(null);
  }
}

export function shardNamed(name: string, index: number): Shard {
  return { index, name, keyspace: 'shop', ranges: [] };
}

/** A session with these participants, writers first. */
export class ScriptedHost extends RecordingSink implements CommitHost {
  readonly work = new UnitOfWork();
  crossShard: CrossShardPolicy = 'two_phase';
  readersDecide = false;
  heard = '';
  readonly local = {
    bytes: (source: Uint8Array, start: number, end: number): void => {
      this.heard += Buffer.from(source.subarray(start, end)).toString('latin1', 0, 1);
    },
  };

  constructor(writers: readonly ScriptedParticipant[], readers: readonly ScriptedParticipant[]) {
    super();
    this.work.begin('BEGIN', null);
    for (const { backend } of [...writers, ...readers]) {
      backend.sink = this;
      this.work.participants.push(backend);
    }
    for (const { backend } of writers) this.work.writers.add(backend);
  }

  readonly told = {
    read: (buffer: Buffer, start: number, end: number): void => {
      this.local.bytes(buffer, start, end);
    },
  };

  dropParticipant(backend: BackendConnection): void {
    this.work.drop(backend);
  }

  /** As a session does whose client has gone. */
  vanish(): void {
    this.work.participants.length = 0;
  }
}

/** An outcome as a test reads it. */
export function told(outcome: Outcome | undefined): unknown {
  if (outcome === undefined || outcome.ok) return outcome?.tag;
  const fields = readErrorFields(outcome.error, 0, outcome.error.length);
  return { code: fields.get('C'), message: fields.get('M'), detail: fields.get('D') };
}

import type { BackendConnection } from '../../backend/postgres/connection.js';
import { wantsBinary } from '../../backend/oids/row-values.js';
import { CAPTURE, DROP, Expect } from '../../backend/postgres/expected-replies.js';
import { unnamedText } from '../../backend/postgres/prepared-text.js';
import { Frontend } from '../../protocol/codes.js';

/** Portals of ours on one backend must not meet. */
let portalsNamed = 0;

/**
 * One shard's part of a portal: a portal of our own name on its backend, which is free for anything else between two
 * requests. All answers come under CAPTURE; nothing is flushed here.
 */
export class PortalPart {
  readonly backend: BackendConnection;
  /** Among equal rows, and among parts that are read one after the other, the lower comes first. */
  readonly position: number;
  /** No more rows are to come. */
  ended = false;
  private readonly name: string;

  constructor(backend: BackendConnection, position: number, name = `shardgate:${++portalsNamed}`) {
    this.backend = backend;
    this.position = position;
    this.name = name;
  }

  /**
   * Binds it, which takes its snapshot; answered by BindComplete.
   * @param types of the parameters
   * @param rest the values, from behind the statement's name in Bind
   */
  bind(text: Uint8Array | string, types: readonly number[], rest: Buffer): void {
    const { backend, name } = this;
    backend.statements.parseUnnamed(unnamedText(text, types), DROP);
    backend.out.begin(Frontend.bind).cstring(name).byte(0).bytes(rest).end();
    backend.expect(Expect.bind, CAPTURE);
    if (wantsBinary(rest)) backend.statements.describeBound(Buffer.from(name));
  }

  /** Answered by RowDescription. */
  describe(): void {
    const { backend, name } = this;
    backend.out.begin(Frontend.describe).byte(PORTAL).cstring(name).end();
    backend.expect(Expect.describe, CAPTURE);
  }

  /** Asks for so many rows, 0 for all. PortalSuspended follows them, or CommandComplete: these were the last. */
  execute(rows: number): void {
    const { backend, name } = this;
    backend.out.begin(Frontend.execute).cstring(name).int32(rows).end();
    backend.expect(Expect.execute, CAPTURE);
  }

  /**
   * The same in other formats than it was bound with. CommandComplete follows: less rows than asked for are the last.
   * @param rest a Bind message's formats, from behind the statement's name
   */
  fetch(rows: number, rest: Buffer): void {
    const count = rows === 0 ? 'ALL' : String(rows);
    const text = unnamedText(`FETCH FORWARD ${count} FROM "${this.name}"`, NO_TYPES);
    this.backend.statements.runUnnamed(text, rest, false);
  }

  /** Answered by CloseComplete. */
  close(): void {
    const { backend, name } = this;
    backend.out.begin(Frontend.close).byte(PORTAL).cstring(name).end();
    backend.expect(Expect.close, CAPTURE);
  }
}

const NO_TYPES: readonly number[] = [];
/** `P`. */
const PORTAL = 0x50;

/** A portal of a name that no other has. */
export function newPart(backend: BackendConnection, position: number): PortalPart {
  return new PortalPart(backend, position);
}

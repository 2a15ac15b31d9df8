import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

/** A session, which a client can cancel with its key, and others of its user by its process id. */
export interface Cancellable {
  readonly user: string;
  /** `delivered` is called once no shard can be hit by it any more. */
  cancel(delivered?: () => void): void;
  shutDown(): void;
}

/** Above what a server's process may have (Linux: 2^22), so that the two are told apart. */
const PID_MIN = 1 << 23;

/** Keys given to clients at login, as BackendKeyData: a process id and a secret. */
export class CancelKeys {
  private readonly byPid = new Map<number, { secret: Buffer; target: Cancellable }>();
  private nextPid = randomInt(PID_MIN, 1 << 30);

  /** `secretBytes`: 4 for protocol 3.0, 32 for 3.2. */
  issue(target: Cancellable, secretBytes: number): { pid: number; secret: Buffer } {
    do {
      this.nextPid = this.nextPid === 0x7fffffff ? PID_MIN : this.nextPid + 1;
    } while (this.byPid.has(this.nextPid));
    const secret = randomBytes(secretBytes);
    this.byPid.set(this.nextPid, { secret, target });
    return { pid: this.nextPid, secret };
  }

  withdraw(pid: number): void {
    this.byPid.delete(pid);
  }

  /** The session with this process id; null: there is none. */
  find(pid: number): Cancellable | null {
    return this.byPid.get(pid)?.target ?? null;
  }

  /**
   * A wrong key does nothing, and nobody is told.
   * @param done called when whoever asked may take it for done: what is sent afterwards is not cancelled by it
   */
  cancel(pid: number, secret: Buffer, done: () => void): void {
    const entry = this.byPid.get(pid);
    const fits = entry?.secret.length === secret.length && timingSafeEqual(entry.secret, secret);
    if (fits) entry.target.cancel(done);
    else done();
  }
}

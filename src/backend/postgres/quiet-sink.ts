import type { BackendConnection } from './connection.js';

/** Hears what backends say that no session listens to, and takes no notice. */
export abstract class QuietSink {
  pass(): boolean {
    return true;
  }

  captured(): void {
    // Answers to a session that has gone.
  }

  capturedData(): boolean {
    return true;
  }

  failed(): void {
    // The statement of a session that has gone.
  }

  copyInStarted(backend: BackendConnection): void {
    backend.failCopy('the client has gone');
    backend.flush();
  }

  drained(): void {
    // Nobody feeds it.
  }

  settled(): void {
    // Nobody waits for it.
  }
}

import { sqlError } from '../errors/sql-error.js';

/** Whether a pool is paused, and who waits until its backends are closed. */
export class Pause {
  on = false;
  private waiting: ((resumed: boolean) => void)[] = [];

  /** Resolves with `end(false)`. Rejects with SqlError 57014 where it is resumed before. */
  async done(): Promise<void> {
    const resumed = await new Promise<boolean>((resolve) => {
      this.waiting.push(resolve);
    });
    if (resumed) throw sqlError('query_canceled', 'RESUME has ended the PAUSE');
  }

  end(resumed: boolean): void {
    for (const tell of this.waiting.splice(0)) tell(resumed);
  }
}

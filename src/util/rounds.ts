/** Work that is done when somebody asks for it: never twice at once, once more where that was asked meanwhile. */
export class Rounds {
  private readonly work: () => Promise<void>;
  private readonly onFailed: (error: unknown) => void;
  private running = false;
  private again = false;
  private stopped = false;

  /** `onFailed` is told why a round came to nothing, until `stop`. */
  constructor(work: () => Promise<void>, onFailed: (error: unknown) => void) {
    this.work = work;
    this.onFailed = onFailed;
  }

  /** Begins a round, unless there is one already; then another one follows it. */
  begin(): void {
    if (this.running) this.again = true;
    else void this.run();
  }

  /** No further round follows. */
  stop(): void {
    this.stopped = true;
  }

  private async run(): Promise<void> {
    this.running = true;
    do {
      this.again = false;
      try {
        await this.work();
      } catch (error) {
        if (!this.stopped) this.onFailed(error);
      }
    } while (this.again && !this.stopped);
    this.running = false;
  }
}

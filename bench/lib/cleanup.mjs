// @ts-check

/** As shells count: 128 + SIGINT. */
const INTERRUPTED = 130;

/**
 * What has to be undone at the end, last first, however the end comes: normally, by a failure or by a
 * signal. (A SIGKILL is the watchdog's business.)
 */
export class Cleanup {
  constructor() {
    /** @private @type {(() => unknown)[]} */
    this.steps = [];
    /** @private */
    this.interrupted = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        if (this.interrupted) process.exit(INTERRUPTED);
        this.interrupted = true;
        console.log('\nStopping (again to leave at once)...');
        void this.run().finally(() => process.exit(INTERRUPTED));
      });
    }
  }

  /** @param {() => unknown} step may return a promise */
  add(step) {
    // Started while the rest is being stopped already: there is nobody else to stop it.
    if (this.interrupted) void Promise.resolve(step()).catch(report);
    else this.steps.push(step);
  }

  async run() {
    for (let step = this.steps.pop(); step !== undefined; step = this.steps.pop()) {
      try {
        await step();
      } catch (error) {
        report(error);
      }
    }
  }
}

/** @param {unknown} error */
function report(error) {
  console.error('While stopping:', error);
}

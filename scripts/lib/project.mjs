// @ts-check
import { fileURLToPath } from 'node:url';

/** The project's root folder, with a slash at the end. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

/** A step failed for a reason that the person at the terminal can act on: no stack trace is shown. */
export class StepError extends Error {
  /**
   * @param {string} message
   * @param {string[]} [details] lines shown below the message, such as the end of a log
   */
  constructor(message, details = []) {
    super(message);
    this.details = details;
  }
}

/**
 * Prints an error for the person at the terminal.
 * @param {unknown} error
 */
export function printFailure(error) {
  if (error instanceof StepError) {
    console.error(`\nFailed: ${error.message}`);
    for (const line of error.details) console.error(`  ${line}`);
  } else {
    console.error(error);
  }
}

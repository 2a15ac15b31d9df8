/** Settings that a reload does not apply, by their place in the file: `listen.port`. */
const FIXED = /^(listen\b(?!\.tls\b|\.min_protocol\b)|http\b|workers\b)/;

/** Whether a change of this setting takes effect at the next start only. */
export function needsRestart(path: string): boolean {
  return FIXED.test(path);
}

/**
 * Places in a commit over several shards where a crash must do no harm. A test facility: a proxy that is started with
 * SHARDGATE_CRASH_POINT set to one of these kills itself, as by `kill -9`, when it gets there; `decided:20`: for the
 * twentieth time.
 */
export const crashPoints = [
  /** Nothing has been sent. */
  'before-prepare',
  /** Phase one has been sent, nothing has answered. */
  'prepare-sent',
  /** One participant has answered phase one. */
  'first-prepared',
  /** All have; the decider has not been told to commit. */
  'prepared',
  /** The decider has been told to commit and has not answered. */
  'decision-sent',
  /** The decider has committed, nobody else knows. */
  'decided',
  /** One leg has committed. */
  'first-finished',
  /** All have; the client does not know. */
  'finished',
  /** A vote has failed; nothing has been rolled back. */
  'before-undo',
  /** Recovery knows the decision and has not carried it out. */
  'recovery-settled',
  /** Recovery has carried it out on one leg. */
  'recovery-finished-leg',
  /** Rows that move (REPAIR, MOVE, the job of `tiered`): one leg is prepared. */
  'rows-first-prepared',
  /** All legs are; the decider has not been told to commit. */
  'rows-prepared',
  /** The decider has committed, nobody else knows. */
  'rows-decided',
  /** All have; whoever moves them does not know. */
  'rows-moved',
  /** A lookup that is about to be built: one leg of the switch to it is prepared. */
  'lookup-first-prepared',
  /** All legs are; the decider has not been told to commit. */
  'lookup-prepared',
  /** The decider has committed, nobody else knows. */
  'lookup-decided',
  /** All have; no row has been read. */
  'lookup-moved',
  /** All rows have been read; nobody knows that it is complete. */
  'lookup-filled',
] as const;
export type CrashPoint = (typeof crashPoints)[number];
export type CrashHook = (reached: CrashPoint) => void;

/** The hook as the environment asks for it. Throws Error where the name is none of ours. */
export function crashHook(env: Readonly<Record<string, string | undefined>>): CrashHook {
  const wanted = env['SHARDGATE_CRASH_POINT'];
  if (wanted === undefined || wanted === '') return noCrash;
  const [name, times = '1'] = wanted.split(':');
  if (!crashPoints.some((point) => point === name) || !/^\d{1,6}$/.test(times)) {
    throw new Error(`SHARDGATE_CRASH_POINT: ${wanted} is none of ${crashPoints.join(', ')}`);
  }
  let left = Number(times);
  return (reached) => {
    if (reached === name && --left === 0) process.kill(process.pid, 'SIGKILL');
  };
}

export function noCrash(): void {
  // Nobody asked for a crash.
}

/** Numbers of backends and of those who wait for one. */
export interface PoolCensus {
  readonly active: number;
  readonly idle: number;
  readonly checking: number;
  /** Their sessions have vanished. */
  readonly canceled: number;
  readonly connecting: number;
  readonly waiting: number;
  readonly longestWaitMs: number;
}

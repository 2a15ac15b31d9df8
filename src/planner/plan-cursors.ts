import type { TextPosition } from '../sql/position.js';

/** What a statement has to do with an SQL cursor. */
export type CursorUse =
  /** On one shard its text runs as it stands; on several `many` says how the query's rows are made. */
  | {
      readonly action: 'declare';
      readonly name: string;
      /** The whole text that has declared it. */
      readonly source: string;
      /** Where the query begins, which goes on to the statement's end; null: that cannot be told. */
      readonly query: TextPosition | null;
      readonly binary: boolean;
      /** SCROLL or NO SCROLL, where the text says so. */
      readonly scroll: 'yes' | 'no' | null;
      /** WITH HOLD: it outlives its transaction. */
      readonly hold: boolean;
      /** A server must have the cursor itself, since it scrolls or holds: `many` is a gather, to its home. */
      readonly atHome: boolean;
    }
  | {
      readonly action: 'fetch';
      readonly name: string;
      /** MOVE. */
      readonly move: boolean;
      readonly direction: FetchDirection;
      /** Infinity: ALL. */
      readonly count: number;
    }
  /** `name` null: all of them. */
  | { readonly action: 'close'; readonly name: string | null }
  /** WHERE CURRENT OF. */
  | { readonly action: 'use'; readonly name: string };

type FetchDirection = 'forward' | 'backward' | 'absolute' | 'relative';

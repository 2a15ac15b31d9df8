import type { BackendConnection } from '../backend/postgres/connection.js';
import type { Outcome } from '../transaction/operation.js';
import type { DescribedText } from './describe-texts.js';
import type { GatheredSize } from './gather-limits.js';
import type { GatherScript } from './gather-script.js';

/** What a gather is given. */
export interface GatherOptions {
  readonly script: GatherScript;
  /** Backends that run each input; the home may be one of them. */
  readonly sources: readonly (readonly BackendConnection[])[];
  readonly home: BackendConnection;
  /** Those of an input's backends that may have rows with these values in the column of its link; one at least. */
  readonly readersOf: (input: number, values: readonly Buffer[]) => readonly BackendConnection[];
  /** False: no tables may be made, so that inputs travel as parameters whatever their size. */
  readonly makesTables: boolean;
  /** Inputs travel as parameters as long as they are small; needs `script.fitsParameters`. */
  readonly startsSmall: boolean;
  /** What the client was or is told of the result. */
  readonly result: DescribedText;
  /** The client is owed the RowDescription. */
  readonly describe: boolean;
  /** What has been brought together; the gather adds to it. */
  readonly size: GatheredSize;
  /** Each backend's part ends in Sync (true) or in Flush. */
  readonly endsWithSync: boolean;
  /** Large inputs: the home reads its own rows where they are, in joins by hash. */
  readonly readsInPlace: boolean;
  /** Temporary tables are dropped behind the final statement; false: their transaction ends soon. */
  readonly dropsTables: boolean;
  /** The home is about to get temporary tables. */
  readonly onTables: () => void;
  /** Columns are not those which were learnt; the statement fails. */
  readonly onChanged: () => void;
  readonly onDone: (outcome: Outcome) => void;
}

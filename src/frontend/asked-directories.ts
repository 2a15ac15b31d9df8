import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError, sqlError } from '../errors/sql-error.js';
import { cancelError } from '../executor/gather-errors.js';
import {
  collectedKeys,
  withAnswers,
  type AskedKey,
  type DirectoryAnswers,
  type KeyDirectory,
} from '../keyspace/key-directory.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { QuietOperation } from '../transaction/operation.js';
import { errorField } from '../util/logger.js';
import type { Session } from './session.js';
import { startOperation } from './statement-run.js';

/** Keys, by the directory that knows their shards. */
export type AskedKeys = ReadonlyMap<KeyDirectory, readonly AskedKey[]>;
/** What the tables of directories say of them. */
export type FoundKeys = ReadonlyMap<KeyDirectory, DirectoryAnswers>;

/**
 * Asks directories; a SqlError where they cannot be read or a key is on the move. Never rejects.
 * @param stores rows with these keys are stored: keys that are new get shards
 */
export async function askDirectories(
  { context, logger }: Session,
  asked: AskedKeys,
  stores: boolean,
): Promise<FoundKeys | SqlError> {
  try {
    return await context.directories.ask(asked, stores);
  } catch (error) {
    if (error instanceof SqlError) return error;
    logger.debug(errorField(error), 'a directory was not read');
    return sqlError('connection_failure', 'the directory of shard keys cannot be read', {
      detail: (error as Error).message,
      hint: 'Try again.',
    });
  }
}

/** Rows that are to be stored, and have all come. */
export interface RowsToPlace {
  /** What knows the shards of their keys; null: all are placed. */
  readonly directory: KeyDirectory | null;
  /** Maps the key of each row. Throws SqlError at the first that has none. */
  map(): void;
  /** The same, and each row goes to the shard of its key. */
  place(): void;
}

/**
 * Places rows in the middle of a statement; where the proxy does not have the shards of all their keys at hand, it asks
 * for these first. `onDone`: null, or why they cannot be placed.
 */
export function placeRows(
  session: Session,
  rows: RowsToPlace,
  onDone: (error: Buffer | null) => void,
): void {
  const { directory } = rows;
  if (directory === null) {
    onDone(null);
    return;
  }
  const asked = keysOf(directory, () => rows.map());
  const place = (found: FoundKeys): void => {
    const error = thrownBy(() => withAnswers(found, () => rows.place()));
    onDone(error === null ? null : errorBytes(error));
  };
  if (directory.knows(asked.get(directory) ?? [])) {
    place(new Map());
    return;
  }
  const onFound = (found: FoundKeys | Buffer): void => {
    if (Buffer.isBuffer(found)) onDone(found);
    else place(found);
  };
  startOperation(session, new DirectoryQuestion(session, asked, onFound));
}

/** The keys that this maps, up to the first one that it throws at: whoever places them meets it again. */
export function keysOf(directory: KeyDirectory, map: () => void): AskedKeys {
  return collectedKeys([directory], () => void thrownBy(map));
}

/** The SqlError that this throws; null: none. */
export function thrownBy(run: () => void): SqlError | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
}

/** A step of a statement in which its backends have nothing to do. */
class DirectoryQuestion extends QuietOperation {
  private readonly session: Session;
  private readonly asked: AskedKeys;
  private readonly onDone: (found: FoundKeys | Buffer) => void;
  private over = false;

  constructor(session: Session, asked: AskedKeys, onDone: (found: FoundKeys | Buffer) => void) {
    super();
    this.session = session;
    this.asked = asked;
    this.onDone = onDone;
  }

  start(): void {
    void askDirectories(this.session, this.asked, true).then((found) => {
      this.end(found instanceof SqlError ? errorBytes(found) : found);
    });
  }

  failed(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.end(Buffer.from(buffer.subarray(start, end)));
  }

  ready(): void {
    // Nobody was asked for it.
  }

  lost(_backend: BackendConnection, error: BackendError): void {
    this.end(errorBytes(error.toSqlError()));
  }

  abort(error: Buffer): void {
    this.end(error);
  }

  cancel(): void {
    this.end(errorBytes(cancelError()));
  }

  private end(found: FoundKeys | Buffer): void {
    if (this.over || this.session.over) return;
    this.over = true;
    this.onDone(found);
  }
}

import type { BackendConnection } from '../backend/postgres/connection.js';
import { loadCatalog, type CatalogRow } from '../backend/catalog-loader.js';
import { SqlError } from '../errors/sql-error.js';
import type { Catalog } from '../keyspace/catalog.js';
import type { Planner } from '../planner/planner.js';
import { askBackend } from './ask-backend.js';
import type { Session } from './session.js';

/** Versions of catalogs that one session sees only: none is that of a catalog for all. */
let lastVersion = 0;

/**
 * The schema as the open transaction of one session sees it: what it has created is there for its own statements, and
 * for nobody else. Read from the transaction's backend of the catalog shard when the next statement needs it.
 *
 *   CREATE TABLE -> stale -> (next statement) read -> planner of its own ... COMMIT, ROLLBACK: everybody's again
 */
export class SchemaOverlay {
  private readonly session: Session;
  private own: Planner | null = null;
  private stale = false;
  private failure: SqlError | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /** The schema has changed within the transaction, or a change was taken back. */
  changed(): void {
    if (this.session.catalogStale) this.stale = true;
  }

  get isStale(): boolean {
    return this.session.catalogStale && this.stale;
  }

  /** Plans for the schema that the session sees, as far as that has been read. */
  get planner(): Planner {
    const { session } = this;
    if (session.catalogStale) return this.own ?? session.context.planner;
    // The transaction is over.
    this.own = null;
    return session.context.planner;
  }

  /** Reads the schema where it has changed; false: wait. Throws SqlError where it cannot be read. */
  isFresh(): boolean {
    const { failure, session } = this;
    if (failure !== null) {
      this.failure = null;
      throw failure;
    }
    // A failed transaction takes no statement that would need it.
    if (!this.isStale || session.work.failed) return true;
    const { catalogShard } = session.context.config.topology;
    const backend = session.work.participant(catalogShard);
    session.busy = true;
    const done = (): void => {
      this.stale = false;
      session.resumeSoon();
    };
    if (backend === null) {
      this.own = null;
      void session.context.reloadCatalog().then(() => {
        if (!session.over) done();
      });
    } else {
      void this.read(backend).then(done, (error: unknown) => {
        if (!(error instanceof SqlError)) throw error;
        this.failure = error;
        session.resumeSoon();
      });
    }
    return false;
  }

  private async read(backend: BackendConnection): Promise<void> {
    const { planner } = this.session.context;
    const questions: Question[] = [];
    const query = (sql: string): Promise<readonly CatalogRow[]> =>
      new Promise((resolve) => questions.push({ sql, resolve }));
    // One of the queries sets the search path until the transaction ends.
    void query(setConfig(SAVED_PATH, 'search_path'));
    const loading = loadCatalog(query, --lastVersion, planner.catalog);
    void query(setConfig('search_path', SAVED_PATH));
    const sqls = questions.map(({ sql }) => sql);
    const answers = await askBackend(this.session, backend, sqls);
    answers.forEach((rows, index) => {
      questions[index]!.resolve(rows);
    });
    const lookups = keptUp(planner.catalog.lookups);
    const catalog = await loading;
    this.own = planner.seeing(lookups === undefined ? catalog : { ...catalog, lookups });
  }
}

/**
 * Lookups go on being kept up where their tables tell what changes. But they are not asked: the transaction may have
 * made a table anew, and rows of that have no entries.
 */
function keptUp(lookups: Catalog['lookups']): Catalog['lookups'] {
  if (lookups === undefined) return undefined;
  return new Map([...lookups].map(([key, lookup]) => [key, { ...lookup, ready: false }]));
}

interface Question {
  readonly sql: string;
  readonly resolve: (rows: readonly CatalogRow[]) => void;
}

const SAVED_PATH = 'shardgate.search_path';

/** Gives a setting another one's value until the transaction ends. */
function setConfig(name: string, other: string): string {
  return `SELECT pg_catalog.set_config('${name}', pg_catalog.current_setting('${other}'), true)`;
}

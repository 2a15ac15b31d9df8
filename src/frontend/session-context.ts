import type { Cluster } from '../backend/cluster.js';
import type { PreparedTexts } from '../backend/postgres/prepared-text.js';
import type { SchemaWatch } from '../backend/schema/schema-watch.js';
import type { Config } from '../config/config.js';
import type { DdlJobs } from '../executor/ddl-jobs/ddl-jobs.js';
import type { Directories } from '../executor/directories/directories.js';
import type { LookupReader } from '../executor/lookups/lookup-reader.js';
import type { KeySamples } from '../executor/key-samples.js';
import type { Ids } from '../executor/ids/ids.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Planner } from '../planner/planner.js';
import type { Commits } from '../transaction/commits.js';
import type { Logger } from '../util/logger.js';
import type { CancelKeys } from './cancel-keys.js';
import type { Notifications } from './notifications.js';

/** What all sessions share; the composition root makes it, a reload replaces `config`. */
export interface SessionContext {
  config: Config;
  readonly cluster: Cluster;
  readonly planner: Planner;
  readonly texts: PreparedTexts;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly cancels: CancelKeys;
  /** How transactions over several shards are committed, and whether they can be. */
  readonly commits: Commits;
  /** Makes the values that INSERTs leave to the proxy. */
  readonly ids: Ids;
  /** DDL that no transaction holds. */
  readonly ddlJobs: DdlJobs;
  /** Whether the shards hold one schema. */
  readonly schemas: SchemaWatch;
  /** Finds the shards of rows by columns with lookups. */
  readonly lookups: LookupReader;
  readonly directories: Directories;
  /** Which shard keys statements name. */
  readonly keySamples: KeySamples;
  /** What clients listen to. */
  readonly notifications: Notifications;
  /** Loads the shards' catalogs again and gives them to the planner: after DDL, before the client is answered. */
  readonly reloadCatalog: () => Promise<void>;
  /** Since the catalog was last loaded. */
  readonly catalogAgeMs: () => number;
  /** The isolation level of a fresh backend, by the settings of its server, database and role. */
  readonly defaultIsolation: () => string;
  /** ParameterStatus values of a fresh backend. */
  readonly serverParameters: () => ReadonlyMap<string, string>;
}

import { loadCatalog } from '../backend/catalog-loader.js';
import type { ShardQuery } from '../backend/shard-query.js';
import type { TextSink } from '../config/check.js';
import type { Config } from '../config/config.js';
import { auditedTables, auditTable } from '../executor/audit/audit.js';
import { Directories } from '../executor/directories/directories.js';
import type { AuditHost } from '../executor/audit/audit-host.js';
import { nameOf, type Finding } from '../executor/audit/finding.js';
import type { Table } from '../keyspace/topology.js';
import { noCrash } from '../transaction/crash-points.js';
import { OwnLinks } from '../transaction/own-links.js';
import { createLogger } from '../util/logger.js';

const CATALOG_TIMEOUT_MS = 30_000;

export interface AuditOutput {
  /** One line a table, and one for everything that is wrong. */
  readonly out: TextSink;
  /** How far it has come. */
  readonly progress: TextSink;
}

/**
 * `shardgate audit FILE [table]`: what AUDIT says on the console, without a proxy. 0: everything is where it belongs;
 * 1: it could not be told; 2: there is no such table; 3: something is wrong. Changes nothing.
 */
export async function runAudit(
  config: Config,
  name: string | undefined,
  { out, progress }: AuditOutput,
): Promise<0 | 1 | 2 | 3> {
  const tables = tablesOf(config, name);
  if (tables.length === 0) {
    out.write(`the configuration has no table ${name ?? 'at all'}\n`);
    return 2;
  }
  const links = new OwnLinks(() => config, createLogger('silent'), 'audit');
  const { topology } = config;
  try {
    const catalog = await loadCatalog(
      (sql) => links.query(topology.catalogShard, sql, CATALOG_TIMEOUT_MS),
      1,
    );
    const tell = (line: string): void => void progress.write(`${line}\n`);
    const signal = new AbortController().signal;
    const query: ShardQuery = (shard, sql, timeoutMs) => links.query(shard, sql, timeoutMs);
    const directories = new Directories(query, () => topology, createLogger('silent'));
    const host = { links, topology, catalog, directories, crash: noCrash, tell, signal };
    return await auditAll(host, tables, out);
  } catch (error) {
    out.write(`broken off: ${(error as Error).message}\n`);
    return 1;
  } finally {
    links.close();
  }
}

function tablesOf({ topology }: Config, name: string | undefined): Table[] {
  const key = name === undefined || name.includes('.') ? name : `public.${name}`;
  return auditedTables(topology).filter((table) => key === undefined || nameOf(table) === key);
}

async function auditAll(host: AuditHost, tables: readonly Table[], out: TextSink): Promise<0 | 3> {
  let sound = true;
  for (const table of tables) {
    const findings = await auditTable(host, table);
    const faults = findings.filter(({ wrong }) => wrong !== 0);
    const rows = rowsOf(findings);
    out.write(`${nameOf(table)}: ${rows} rows, ${faults.length === 0 ? 'sound' : 'not sound'}\n`);
    for (const fault of faults) out.write(`  ${describe(fault)}\n`);
    sound &&= faults.length === 0;
  }
  return sound ? 0 : 3;
}

/** Of the table: entries of lookups are none, and copies are the same rows. */
function rowsOf(findings: readonly Finding[]): number {
  const [copy] = findings.filter(({ check }) => check === 'copy');
  if (copy !== undefined) return copy.rows;
  const own = findings.filter(({ check }) => check === 'rows' || check === 'shell');
  return own.reduce((sum, { rows }) => sum + rows, 0);
}

function describe({ shard, check, rows, wrong, detail }: Finding): string {
  const count = wrong === null ? '' : ` ${wrong} of ${rows} wrong:`;
  return `${shard} (${check}):${count} ${detail}`;
}

import type { ShardQuery } from '../../backend/shard-query.js';
import type { TextSink } from '../../config/check.js';
import type { Config } from '../../config/config.js';
import type { Shard } from '../../keyspace/topology.js';
import { CAPABILITY_SQL } from '../../transaction/decisions.js';
import { OwnLinks } from '../../transaction/own-links.js';
import { NO_PREPARED, NO_RIGHTS } from '../../transaction/two-phase-shards.js';
import { createLogger } from '../../util/logger.js';
import { formatFinding, problem, type Finding } from './finding.js';
import { schemaFindings, tableFindings } from './schema-findings.js';
import { askFacts, type ServerFacts } from './server-facts.js';
import { comparedFindings, serverFindings } from './server-findings.js';

/**
 * `shardgate check FILE --connect`: asks every shard of a sound configuration, and writes what is amiss, one finding a
 * line, each with its cure. 0: no problem was found (there may be notes); 3: some were. Nothing is changed anywhere.
 * @param timeoutMs how long each question may take
 */
export async function runLiveCheck(
  config: Config,
  out: TextSink,
  timeoutMs: number,
): Promise<0 | 3> {
  const links = new OwnLinks(
    () => ({ ...config, pool: { ...config.pool, connectTimeoutMs: timeoutMs } }),
    createLogger('silent'),
    'check',
  );
  const query: ShardQuery = (shard, sql, limitMs) =>
    links.query(shard, sql, Math.min(limitMs, timeoutMs));
  try {
    const findings = await findAll(config, query, out, timeoutMs);
    const ordered = [...findings].sort((a, b) => rank(a) - rank(b));
    out.write('\n');
    for (const finding of ordered) out.write(formatFinding(finding));
    const problems = findings.filter(({ kind }) => kind === 'problem').length;
    const notes = findings.length - problems;
    out.write(`${count(problems, 'problem')}, ${count(notes, 'note')}.\n`);
    return problems === 0 ? 0 : 3;
  } finally {
    links.close();
  }
}

async function findAll(
  config: Config,
  query: ShardQuery,
  out: TextSink,
  timeoutMs: number,
): Promise<Finding[]> {
  const { shards, catalogShard } = config.topology;
  out.write(`\nAsking ${count(shards.length, 'shard')}.\n`);
  const findings: Finding[] = [];
  const answers = await Promise.all(
    shards.map(async (shard) => {
      const startedAt = performance.now();
      try {
        const facts = await askFacts(shard, query, timeoutMs);
        const ms = Math.round(performance.now() - startedAt);
        out.write(`  ${shard.name}: PostgreSQL ${facts.version}, ${ms} ms\n`);
        findings.push(...serverFindings(facts, config));
        findings.push(...(await commitFindings(facts, config, query, timeoutMs)));
        return facts;
      } catch (error) {
        out.write(`  ${shard.name}: no answer\n`);
        findings.push(unreachable(shard, error));
        return null;
      }
    }),
  );
  const there = answers.filter((facts) => facts !== null);
  const home = there.find(({ shard }) => shard === catalogShard);
  if (home === undefined) {
    const message = `schemas were not compared: shard "${catalogShard.name}" did not answer`;
    findings.push(problem(null, message, 'mend that first'));
    return findings;
  }
  findings.push(...comparedFindings(there, home));
  out.write(`Comparing the schemas of ${count(there.length, 'shard')}.\n`);
  const asked = there.map(({ shard }) => shard);
  for (const look of [
    () => schemaFindings(asked, catalogShard, query),
    () => tableFindings(config.topology, query, timeoutMs),
  ]) {
    try {
      findings.push(...(await look()));
    } catch (error) {
      const message = `schemas cannot be read: ${(error as Error).message}`;
      findings.push(problem(null, message, 'try again, with a longer --timeout'));
    }
  }
  return findings;
}

/** Whether the shard can take part in commits over several shards. */
async function commitFindings(
  { shard, maxPrepared, mayCreate }: ServerFacts,
  { transactions, topology }: Config,
  query: ShardQuery,
  timeoutMs: number,
): Promise<Finding[]> {
  if (transactions.crossShard !== 'two_phase' || topology.shards.length === 1) return [];
  if (maxPrepared === 0) return [problem(shard.name, NO_PREPARED.message, NO_PREPARED.hint)];
  const noRights = [problem(shard.name, NO_RIGHTS.message, NO_RIGHTS.hint)];
  try {
    const [[, exists, usable] = []] = await query(shard, CAPABILITY_SQL, timeoutMs);
    // The proxy makes the table at its start.
    return exists === 't' ? (usable === 't' ? [] : noRights) : mayCreate ? [] : noRights;
  } catch {
    return noRights;
  }
}

function unreachable(shard: Shard, error: unknown): Finding {
  const cure = 'look whether the server runs, and at host, port, user and password of its URL';
  return problem(shard.name, (error as Error).message, cure);
}

function rank({ kind }: Finding): number {
  return kind === 'problem' ? 0 : 1;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

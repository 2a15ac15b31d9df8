import type { Config } from '../../config/config.js';
import { note, problem, type Finding } from './finding.js';
import type { ServerFacts } from './server-facts.js';

/** The oldest release that tests run on. */
const OLDEST_VERSION = 150_000;
/** Connections of the proxy to a shard beside those of its pool. */
const OWN_CONNECTIONS = 8;

/** What is wrong with one server by itself. */
export function serverFindings(facts: ServerFacts, config: Config): Finding[] {
  const found: Finding[] = [];
  const { pool, transactions, topology } = config;
  const { name } = facts.shard;
  const wanted = pool.size + pool.reserve + OWN_CONNECTIONS;
  if (facts.versionNumber < OLDEST_VERSION) {
    found.push(problem(name, `PostgreSQL ${facts.version} is too old`, 'use 15 or newer'));
  }
  if (facts.encoding !== 'UTF8') {
    found.push(
      problem(
        name,
        `the database has the encoding ${facts.encoding}`,
        "create it anew with ENCODING 'UTF8'",
      ),
    );
  }
  if (facts.isStandby) {
    found.push(problem(name, 'it is a standby, which only reads', 'name its primary'));
  }
  if (facts.settings.get('standard_conforming_strings') === 'off') {
    found.push(
      problem(
        name,
        'standard_conforming_strings is off',
        'set it on for the database and the user',
      ),
    );
  }
  if (facts.maxConnections < wanted) {
    found.push(
      note(
        name,
        `${facts.maxConnections} connections are there for clients, and one proxy may open ${wanted}`,
        'raise max_connections, or lower pool.size',
      ),
    );
  }
  const commits = transactions.crossShard === 'two_phase' && topology.shards.length > 1;
  if (commits && facts.maxPrepared > 0 && facts.maxPrepared < pool.size) {
    found.push(
      note(
        name,
        `max_prepared_transactions is ${facts.maxPrepared}, less than pool.size (${pool.size})`,
        'raise it to max_connections, so that all clients may commit over several shards at a time',
      ),
    );
  }
  return found;
}

/** In what shards differ that should be alike; `home`: what they are compared with. */
export function comparedFindings(all: readonly ServerFacts[], home: ServerFacts): Finding[] {
  const found: Finding[] = [];
  const identities = new Map<string, string>();
  for (const facts of all) {
    const { name } = facts.shard;
    const same = identities.get(facts.identity);
    if (same === undefined) identities.set(facts.identity, name);
    else {
      found.push(
        problem(name, `it is the same database as shard "${same}"`, 'give each shard its own'),
      );
    }
    if (facts !== home) found.push(...differences(facts, home));
  }
  return found;
}

function differences(facts: ServerFacts, home: ServerFacts): Finding[] {
  const found: Finding[] = [];
  const { name } = facts.shard;
  const there = `on "${home.shard.name}"`;
  if (facts.collation !== home.collation) {
    found.push(
      problem(
        name,
        `text is sorted by "${facts.collation}", ${there} by "${home.collation}"`,
        'create the database anew with the same locale and provider',
      ),
    );
  } else if (facts.collationVersion !== home.collationVersion) {
    found.push(
      note(
        name,
        `its collations are of version ${facts.collationVersion}, those ${there} of ${home.collationVersion}`,
        'run all servers on the same release of the operating system (or ICU), so that text sorts alike',
      ),
    );
  }
  if (major(facts) !== major(home)) {
    found.push(
      note(
        name,
        `it runs PostgreSQL ${facts.version}, ${home.version} runs ${there}`,
        'run the same major release everywhere, so that all shards understand the same statements',
      ),
    );
  }
  for (const [setting, value] of facts.settings) {
    const other = home.settings.get(setting);
    if (other === undefined || other === value) continue;
    found.push(
      note(
        name,
        `setting "${setting}" is "${value}", ${there} "${other}"`,
        'set the same for database, user and server everywhere',
      ),
    );
  }
  return found;
}

function major({ versionNumber }: ServerFacts): number {
  return Math.floor(versionNumber / 10_000);
}

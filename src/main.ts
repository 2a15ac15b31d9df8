#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runCheck } from './config/check.js';
import type { Config } from './config/config.js';
import { configSchemaText } from './config/json-schema.js';
import { loadConfig } from './config/load.js';
import { ConfigError, formatProblem } from './config/problems.js';
import { createLogger } from './util/logger.js';
import { settingDurationMs } from './util/setting-duration.js';
import { packageVersion } from './util/package-version.js';

/**
 * Exit codes: 0 stopped as asked, 1 failed while running or starting, 2 wrong usage, 3 problems of live shards, 78
 * unusable configuration.
 */
const ExitCode = { ok: 0, failed: 1, usage: 2, config: 78 } as const;
/** What each question to a live shard may take. */
const CHECK_TIMEOUT = '10s';

const HELP = `Shardgate: one Postgres address in front of many databases.

Usage:
  shardgate --config FILE      start with this configuration
  shardgate check FILE         say whether a configuration is sound, and what to mend where
  shardgate check FILE --connect [--timeout 10s]
                               ask all shards too: rights, versions, collations, schemas; changes nothing
  shardgate audit FILE [table] count rows that are not on their shards, and copies that differ; changes nothing
  shardgate check --schema     print the JSON Schema of the configuration, for editors
  shardgate --version
  shardgate --help

Signals: SIGTERM and SIGINT let running transactions end (drain_timeout), a second one stops at once;
SIGHUP reads the configuration again.
Exit codes: 0 stopped as asked; 1 failed; 2 wrong usage; 3 check --connect or audit found problems; 78 unusable configuration.
`;

/**
 * A statement runs through a hundred small functions once; V8's usual budgets leave most of them as calls. And nearly
 * all young objects die at once: where their space grows, it costs memory and saves nothing (DECISIONS).
 */
function tuneEngine(): void {
  setFlagsFromString('--max-inlined-bytecode-size=2000');
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
  setFlagsFromString('--semi-space-growth-factor=1');
}

async function main(): Promise<number> {
  tuneEngine();
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        connect: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        schema: { type: 'boolean' },
        timeout: { type: 'string' },
        version: { type: 'boolean', short: 'v' },
      },
    });
  } catch (error) {
    process.stderr.write(`shardgate: ${(error as Error).message}\nTry shardgate --help.\n`);
    return ExitCode.usage;
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(HELP);
    return ExitCode.ok;
  }
  if (values.version === true) {
    process.stdout.write(`shardgate ${packageVersion()}\n`);
    return ExitCode.ok;
  }
  if (positionals[0] === 'check') {
    if (values.schema === true) {
      process.stdout.write(configSchemaText());
      return ExitCode.ok;
    }
    const file = positionals[1] ?? values.config;
    const timeoutMs = settingDurationMs(values.timeout ?? CHECK_TIMEOUT);
    if (file !== undefined && positionals.length <= 2 && timeoutMs > 0) {
      return check(file, values.connect === true, timeoutMs);
    }
  } else if (positionals[0] === 'audit') {
    const [, file = values.config, table] = positionals;
    if (file !== undefined && positionals.length <= 3) return audit(file, table);
  } else if (positionals.length === 0 && values.config !== undefined) {
    return serve(values.config);
  }
  process.stderr.write(`shardgate: which file?\n\n${HELP}`);
  return ExitCode.usage;
}

async function check(file: string, connect: boolean, timeoutMs: number): Promise<number> {
  const outcome = await runCheck(file, process.stdout);
  if (outcome !== 0 || !connect) return outcome;
  const { runLiveCheck } = await import('./admin/live-check/live-check.js');
  return runLiveCheck(await loadConfig(file), process.stdout, timeoutMs);
}

async function audit(file: string, table: string | undefined): Promise<number> {
  const config = await usable(file);
  if (config === null) return ExitCode.config;
  const { runAudit } = await import('./admin/audit-report.js');
  return runAudit(config, table, { out: process.stdout, progress: process.stderr });
}

/** Null: the file is not sound, and what to mend was told. */
async function usable(file: string): Promise<Config | null> {
  try {
    return await loadConfig(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${formatProblem(problem)}\n`);
    return null;
  }
}

async function serve(file: string): Promise<number> {
  const config = await usable(file);
  if (config === null) return ExitCode.config;
  const logger = createLogger(config.log.level);
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'unexpected failure');
    process.exit(ExitCode.failed);
  });
  // Loaded now, so that the engine is tuned for that too.
  const { Server } = await import('./server.js');
  const server = new Server(config, file, logger);
  process.on('SIGHUP', () => {
    void server.reload();
  });
  try {
    await server.start();
  } catch (error) {
    logger.fatal({ err: error }, 'cannot start');
    process.stderr.write(`shardgate: cannot start: ${(error as Error).message}\n`);
    return ExitCode.failed;
  }
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) {
        logger.warn({ signal }, 'stopping at once');
        process.exit(ExitCode.failed);
      }
      stopping = true;
      logger.info({ signal }, 'draining');
      void server.stop().then(() => {
        resolve(ExitCode.ok);
      });
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

process.exitCode = await main();
if (process.exitCode !== ExitCode.ok || process.argv.includes('--config')) process.exit();

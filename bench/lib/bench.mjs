// @ts-check

/**
 * What every measurement over servers gets.
 * @typedef {object} Bench
 * @property {import('./options.mjs').Options} options
 * @property {import('./cleanup.mjs').Cleanup} cleanup
 * @property {import('./database-servers.mjs').Servers} servers
 * @property {import('./pgbouncer.mjs').PgBouncer | null} pgbouncer null: not installed
 */

export {};

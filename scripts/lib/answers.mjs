// @ts-check
import pg from 'pg';

const CONNECT_MS = 2_000;

/**
 * Asks a server or proxy for one row.
 * @param {string} url
 * @returns {Promise<string | null>} why there was no answer; null: there was
 */
export async function tryQuery(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}

// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

/**
 * Finding the literals of a text and making its shape, the key of the plan cache.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function shapeBenchmarks() {
  const { scanShape } = /** @type {typeof import('../../src/sql/scanner.js')} */ (
    await fromDist('sql/scanner.js')
  );
  const { Literals } = /** @type {typeof import('../../src/sql/literals.js')} */ (
    await fromDist('sql/literals.js')
  );
  const literals = new Literals();
  const values = Array.from({ length: 100 }, (_, i) => `(${i}, 'customer ${i}', 12.50, now())`);
  const texts = {
    'a read by key': 'SELECT abalance FROM pgbench_accounts WHERE aid = 12345;',
    'a read with strings and a join':
      "SELECT o.id, o.total FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.customer_id = 42 AND o.status = 'shipped' AND i.sku IN ('a-1', 'b-2') ORDER BY o.placed LIMIT 20",
    'an INSERT of 100 rows': `INSERT INTO customers (id, name, total, at) VALUES ${values.join(', ')}`,
  };
  return Object.entries(texts).map(([name, text]) => {
    const bytes = Buffer.from(text);
    return {
      name: `shape of ${name} (${bytes.length} bytes)`,
      run: () => scanShape(bytes, 0, bytes.length, literals),
    };
  });
}

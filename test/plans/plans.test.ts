import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Planner, type PlanContext } from '../../src/planner/planner.js';
import { Literals } from '../../src/sql/literals.js';
import { Parser } from '../../src/sql/parser.js';
import { shopCatalog, shopTopology } from '../unit/planner/shop.js';
import { summarize, type Summary } from '../unit/planner/summary.js';

/*
 * Golden plans: what becomes of a statement in the cluster of test/unit/planner/shop.ts. One file a
 * subject; refused.json holds what is refused. A change of a plan must be seen: run with
 * UPDATE_PLANS=1 to write the files anew, and read the difference.
 */

interface Golden {
  readonly sql: string;
  readonly searchPath?: readonly string[];
  readonly paramTypes?: readonly number[];
  readonly plan: Summary;
}

const folder = new URL('.', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const update = process.env.UPDATE_PLANS === '1';

let parser: Parser;
let planner: Planner;

beforeAll(async () => {
  parser = await Parser.create();
  planner = new Planner(parser, shopTopology(), shopCatalog());
});

afterAll(async () => {
  await parser.close();
});

async function planOf(golden: Omit<Golden, 'plan'>): Promise<Summary> {
  const bytes = new TextEncoder().encode(golden.sql);
  const { searchPath = ['public'], paramTypes = [] } = golden;
  const context: PlanContext = {
    searchPath,
    searchPathKey: searchPath.join(),
    paramTypes,
    paramTypesKey: paramTypes.join(),
  };
  return summarize(await planner.plan(bytes, 0, bytes.length, context, new Literals()));
}

describe.each(files)('%s', (file) => {
  const url = new URL(file, folder);
  const goldens = JSON.parse(readFileSync(url, 'utf8')) as Golden[];

  it.runIf(update)('is written anew', async () => {
    const lines: string[] = [];
    for (const golden of goldens) {
      lines.push(JSON.stringify({ ...golden, plan: await planOf(golden) }, null, 2));
    }
    writeFileSync(url, `[\n${lines.join(',\n').replace(/^/gm, '  ')}\n]\n`);
  });

  it.skipIf(update).each(goldens)('$sql', async ({ plan, ...statement }) => {
    expect(await planOf(statement)).toEqual(plan);
    // The second time it comes from the cache, where it may be kept at all.
    expect(await planOf(statement)).toEqual(plan);
  });
});

it('refuses what stands in refused.json, and nothing else', () => {
  for (const file of files) {
    const goldens = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Golden[];
    for (const { sql, plan } of goldens) {
      expect('refuse' in plan, `${file}: ${sql}`).toBe(file === 'refused.json');
    }
  }
});

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Planner } from '../../../src/planner/planner.js';
import type { Refusal } from '../../../src/planner/plan.js';
import { Literals } from '../../../src/sql/literals.js';
import { Parser } from '../../../src/sql/parser.js';
import { shopCatalog, shopTopology } from './shop.js';

/** Every refusal of the golden plans, those for several shards included. */
async function refusals(): Promise<Refusal[]> {
  const parser = await Parser.create();
  const planner = new Planner(parser, shopTopology(), shopCatalog());
  const folder = new URL('../../plans/', import.meta.url);
  const out: Refusal[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    for (const { sql } of JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
      sql: string;
    }[]) {
      const bytes = new TextEncoder().encode(sql);
      const context = {
        searchPath: ['public'],
        searchPathKey: '',
        paramTypes: [],
        paramTypesKey: '',
      };
      const planned = await planner.plan(bytes, 0, bytes.length, context, new Literals());
      for (const { plan } of planned.statements) {
        if (plan.kind === 'refuse') out.push(plan.refusal);
        if (plan.kind === 'route' && plan.many.kind === 'refuse') out.push(plan.many.refusal);
      }
    }
  }
  await parser.close();
  return out;
}

it('says what is refused and what to do instead, in Postgres’s way of writing', async () => {
  const all = await refusals();
  expect(all.length).toBeGreaterThan(150);
  for (const { message, hint } of all) {
    // Messages begin in lower case or with a keyword or name, and end without a full stop.
    expect(message).toMatch(/^[a-z"'A-Z].*[^.]$/);
    // Hints are whole sentences.
    expect(hint, message).toMatch(/^[A-Z].*[.]$/s);
  }
});

// drizzle-kit: a schema pushed to the database, changed and pushed again, read back as code. It asks for the columns of
// keys without an order, so keys have one column here.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import pg from 'pg';
import { attempt, say, URL } from './transcript.mjs';

const here = fileURLToPath(new globalThis.URL('.', import.meta.url));
const tool = join(here, 'node_modules', 'drizzle-kit', 'bin.cjs');
// Below this folder, so that the schema finds Drizzle.
const folder = mkdtempSync(join(here, 'node_modules', '.drizzle-kit-'));

const IMPORTS = `import { sql } from 'drizzle-orm';
import { bigint, check, date, index, integer, jsonb, numeric, pgEnum, pgTable, serial, text, timestamp, uuid,
  varchar } from 'drizzle-orm/pg-core';
export const level = pgEnum('level', ['low', 'high']);
export const countries = pgTable('countries', { code: text().primaryKey(), name: text().notNull() });
`;

/** The schema of the application's first and second release. @param {1 | 2} release */
function schema(release) {
  const more = release === 2;
  return `${IMPORTS}
export const customers = pgTable('customers', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: varchar({ length: ${more ? 80 : 40} }).notNull(),
  country: text().references(() => countries.code, { onDelete: 'set null' }),
  born: date(),
  seen: timestamp({ withTimezone: true }).defaultNow(),
  balance: numeric({ precision: 12, scale: 2 }).default('0'),
  token: uuid().defaultRandom(),
  tags: text().array().default(['a']),
  data: jsonb().default({ a: 1 }),
  level: level().default('low'),
  ${more ? 'extra: integer().notNull().default(3),' : ''}
}, (t) => [
  index('by_name').on(t.name.desc()).where(sql\`born IS NOT NULL\`),
  ${more ? "check('not_negative', sql`balance >= 0`)," : ''}
]);
export const orders = pgTable('orders', {
  id: bigint({ mode: 'number' }),
  customerId: bigint('customer_id', { mode: 'number' }).references(() => customers.id, { onDelete: 'cascade' }),
  item: text(),
  amount: numeric(),
}, (t) => [index('by_customer').on(t.customerId)]);
export const notes = pgTable('notes', { id: serial().primaryKey(), body: text()${more ? '' : '.unique()'} });
`;
}

const options = {
  dialect: 'postgresql',
  schema: join(folder, 'schema.ts'),
  out: join(folder, 'out'),
  dbCredentials: { url: URL },
  tablesFilter: ['countries', 'customers', 'orders', 'notes'],
};
const config = join(folder, 'drizzle.config.mjs');
writeFileSync(config, `export default ${JSON.stringify(options)};`);

/** @param {string[]} args */
function kit(...args) {
  try {
    execFileSync(process.execPath, [tool, ...args, '--config', config], {
      cwd: folder,
      stdio: 'pipe',
    });
  } catch ({ stdout, stderr }) {
    throw new Error(`${stdout}${stderr}`);
  }
}

/** Word by word: tables, columns and keys' columns come in whatever order the server has them. */
function pulled() {
  kit('pull');
  for (const name of ['schema.ts', 'relations.ts']) {
    const code = readFileSync(join(folder, 'out', name), 'utf8');
    say(name, code.split(/\W+/).sort());
  }
}

const client = new pg.Client(URL);
await client.connect();
const clean = () =>
  client.query(
    'DROP TABLE IF EXISTS notes, orders, customers, countries CASCADE; DROP TYPE IF EXISTS level',
  );
await clean();
for (const release of [1, 2]) {
  await attempt(`release ${release}`, () => {
    writeFileSync(join(folder, 'schema.ts'), schema(release));
    kit('push', '--force');
    pulled();
  });
}
await clean();
await client.end();
rmSync(folder, { recursive: true });

import type { Catalog } from '../../keyspace/catalog.js';
import { lookupKey, type Lookup } from '../../keyspace/topology.js';
import { readErrorFields } from '../../protocol/backend-messages.js';
import { Backend } from '../../protocol/codes.js';
import { Writer } from '../../protocol/writer.js';

const UNIQUE_VIOLATION = '23505';

/**
 * An error of a lookup's own table as PostgreSQL would tell it of the table that the lookup is for: a
 * value that another shard has is a duplicate of the constraint there.
 */
export function duplicateError(error: Buffer, lookup: Lookup, catalog: Catalog): Buffer {
  const fields = new Map(readErrorFields(error, 0, error.length));
  for (const letter of 'PpqW') fields.delete(letter);
  if (fields.get('C') === UNIQUE_VIOLATION) {
    const constraint = constraintOf(lookup, catalog);
    fields.set('M', `duplicate key value violates unique constraint "${constraint}"`);
    fields.set('D', (fields.get('D') ?? '').replace('Key (value)=', `Key (${lookup.column})=`));
    fields.set('s', lookup.schema).set('t', lookup.table).set('n', constraint);
  }
  const writer = new Writer(512).begin(Backend.errorResponse);
  for (const [letter, value] of fields) writer.byte(letter.charCodeAt(0)).cstring(value);
  return writer.byte(0).end().take();
}

/** The table's own unique constraint on the column, where there is one. */
function constraintOf(lookup: Lookup, { lookups }: Catalog): string {
  return lookups?.get(lookupKey(lookup))?.constraint ?? `${lookup.index.name}_pkey`;
}

/** A table's name as a configuration has it: without the schema `public`. */
export function shownName(schema: string, name: string): string {
  return schema === 'public' ? name : `${schema}.${name}`;
}

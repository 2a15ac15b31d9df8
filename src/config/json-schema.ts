import { configSpec } from './schema.js';

/** The JSON Schema (draft 7) of the configuration file, for editors; ends with a line end. */
export function configSchemaText(): string {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Shardgate configuration',
    description:
      'Durations are 250ms, 5s, 10m or 1h; sizes 512kB, 64MB or 1GB. ' +
      '${NAME} and ${NAME:-default} stand for environment variables.',
    ...configSpec.jsonSchema,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

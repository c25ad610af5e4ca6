import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configJsonSchema } from '../../../src/config/schema.ts';

/** Names of all fields in a JSON schema, wherever they stand. */
function fieldsOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const own: unknown = Reflect.get(schema, 'properties');
  const fields = typeof own === 'object' && own !== null && Reflect.get(schema, 'type') === 'object' ? Object.keys(own) : [];
  return [...fields, ...Object.values(schema).flatMap(fieldsOf)];
}

describe('docs/CONFIGURATION.md', () => {
  const text = readFileSync('docs/CONFIGURATION.md', 'utf8');
  it.each([...new Set(fieldsOf(configJsonSchema()))])('explains %s', (field) => {
    expect(text).toMatch(new RegExp(`\`${field}(?::[^\`]*)?\``));
  });
});

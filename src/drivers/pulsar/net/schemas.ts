import type { SchemaReader } from '../../../spi/schema.ts';
import { encodeGetOrCreateSchema, encodeGetSchema } from '../wire/schema.ts';
import { SERVER_ERROR, serverError } from '../wire/server-error.ts';
import type { BrokerPool } from './broker-pool.ts';

/** The registry's schemas of a topic, by the versions that its entries name. */
export function schemaReader(pool: BrokerPool, topic: string): SchemaReader {
  return {
    async schemaOf(version) {
      const doing = `reading a schema of ${topic}`;
      const broker = await pool.locate(topic);
      const answer = await broker.request('getSchemaResponse', doing, (id) => encodeGetSchema(id, topic, version));
      if (answer.error === SERVER_ERROR.topicNotFound) return undefined;
      if (answer.error !== undefined) throw serverError(answer.error, answer.message, doing);
      return answer.schema;
    },
  };
}

/** Registers a schema for a topic and resolves to its version there; the version that it has when it is there already. Rejects with what the broker says, TOPIC_MISMATCH when it does not fit the others. */
export async function registerSchema(pool: BrokerPool, topic: string, schema: Uint8Array): Promise<Buffer> {
  const doing = `registering a schema for ${topic}`;
  const broker = await pool.locate(topic);
  const answer = await broker.request('getOrCreateSchemaResponse', doing, (id) => encodeGetOrCreateSchema(id, topic, schema));
  if (answer.error !== undefined) throw serverError(answer.error, answer.message, doing);
  return answer.version;
}

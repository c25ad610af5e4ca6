import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/config/schema.ts';

/** Writes config/schema.json, which editors use; a test fails when it is stale. Run: `npx node scripts/generate-config-schema.ts`. */
writeFileSync(new URL('../config/schema.json', import.meta.url), `${JSON.stringify(configJsonSchema(), null, 2)}\n`);

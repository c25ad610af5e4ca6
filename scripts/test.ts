/** `npm test`: see scripts/test/cli.ts. */
import { main } from './test/cli.ts';

process.exitCode = await main(process.argv.slice(2));

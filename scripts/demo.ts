/** `npm run demo`: see scripts/demo/cli.ts. */
import { main } from './demo/cli.ts';

process.exitCode = await main(process.argv.slice(2));

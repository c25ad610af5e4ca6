/** `npm run drill`: see scripts/drill/cli.ts. */
import { main } from './drill/cli.ts';

process.exitCode = await main(process.argv.slice(2));

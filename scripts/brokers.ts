/** `npm run brokers -- ...`: see scripts/brokers/cli.ts and docs/BROKERS.md. */
import { main } from './brokers/cli.ts';

process.exitCode = await main(process.argv.slice(2));

import { checkState, openClusters, processDeps, readVersion, startApp } from './app.ts';
import { processIo } from './cli/io.ts';
import { runCli } from './cli/run-cli.ts';
import type { Config } from './config/types.ts';

/** A stop that takes longer than users are promised is cut short: what is in flight is left for the successor. */
const STOP_LIMIT_MILLIS = 9_500;

const version = readVersion();

/** Runs until SIGTERM or SIGINT; a second signal ends it at once. */
async function run(config: Config): Promise<number> {
  const app = await startApp(config, version);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  process.once('SIGINT', () => process.exit(1));
  setTimeout(() => process.exit(1), STOP_LIMIT_MILLIS).unref();
  await app.stop();
  return 0;
}

/** What every verb of the command line is given; resolves to the exit code. */
export function start(argv: readonly string[]): Promise<number> {
  return runCli(argv, processIo(), {
    version,
    run,
    checkState: (config) => checkState(config, processDeps('error', config.provenance)),
    openClusters: async (config) => {
      const clusters = await openClusters(config, processDeps('error', config.provenance));
      return {
        clusters,
        close: async () => void (await Promise.all([...clusters.values()].map((cluster) => cluster.close()))),
      };
    },
  });
}

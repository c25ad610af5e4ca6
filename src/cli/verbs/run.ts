import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import type { CliContext } from '../options.ts';

export function addRun(program: Command, { io, wiring, endWith }: CliContext): void {
  program
    .command('run')
    .summary('run the replicator until it is told to stop')
    .description(
      'Runs the replicator in the foreground. SIGTERM or SIGINT stops it within 10 s; what is under way is stored, or left for the next run.',
    )
    .requiredOption('-c, --config <file>', 'the configuration file')
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus run -c config/local.yaml\n  ISTHMUS_TOKEN=$(openssl rand -hex 24) isthmus run -c config/east.yaml',
    )
    .action(async (options: { config: string }) => {
      endWith(await wiring.run(loadConfig(options.config, io.environment)));
    });
}

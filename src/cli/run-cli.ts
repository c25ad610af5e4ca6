import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config/problems.ts';
import { IsthmusError } from '../errors.ts';
import { CliError, EXIT, type ExitCode, type Io } from './io.ts';
import type { CliContext, Wiring } from './options.ts';
import { addCheck } from './verbs/check.ts';
import { addFailback } from './verbs/failback.ts';
import { addFailover } from './verbs/failover.ts';
import { addGroups, addTranslate } from './verbs/groups.ts';
import { addLanes } from './verbs/lanes.ts';
import { addMirrors } from './verbs/mirrors.ts';
import { addRun } from './verbs/run.ts';
import { addVerify } from './verbs/verify.ts';

const HELP = `
Exit codes:
  0  done
  1  something is wrong, or did not work
  2  the command line, the configuration or the request is not right; nothing was done
  3  the process does not answer

Start with:
  isthmus check -c config/local.yaml
  isthmus run -c config/local.yaml`;

function createProgram(context: CliContext): Command {
  const { io, wiring } = context;
  const program = new Command('isthmus')
    .description('Mirrors topics between RocketMQ and Pulsar clusters, in all directions, without loss, doubles or reordering.')
    .version(wiring.version)
    .option('--debug', 'on an error, show where it came from')
    // Otherwise `mirrors` would take the options of the verbs below it.
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('(isthmus --help shows what there is)')
    .addHelpText('after', HELP)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text.trimEnd()), writeErr: (text) => io.err(text.trimEnd()) });
  addRun(program, context);
  addCheck(program, context);
  addMirrors(program, context);
  addLanes(program, context);
  addGroups(program, context);
  addTranslate(program, context);
  addFailover(program, context);
  addFailback(program, context);
  addVerify(program, context);
  return program;
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode;
  return error instanceof IsthmusError && error.code === 'CONFIG_INVALID' ? EXIT.input : EXIT.failed;
}

function detailsOf(error: unknown): object {
  if (error instanceof CliError) return error.details;
  if (error instanceof ConfigError) return { code: error.code, problems: error.problems };
  return error instanceof IsthmusError ? { code: error.code } : {};
}

function report(io: Io, error: unknown, options: { readonly json: boolean; readonly debug: boolean }): void {
  const message = error instanceof Error ? error.message : String(error);
  io.err(options.json ? JSON.stringify({ error: message, ...detailsOf(error) }) : `isthmus: ${message}`);
  if (!options.debug) return;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) io.err(cause.stack ?? cause.message);
}

/**
 * The `isthmus` command. `argv` as of the process (`process.argv`). Resolves to the exit code; never rejects, and shows a stack
 * only with --debug.
 */
export async function runCli(argv: readonly string[], io: Io, wiring: Wiring): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram({ io, wiring, endWith: (code) => void (exitCode = code) });
  try {
    // Wherever it stands: people add it behind a command that failed.
    await program.parseAsync(argv.filter((argument) => argument !== '--debug'));
    return exitCode;
  } catch (error) {
    // Commander has told already what is wrong with the command line, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.input;
    report(io, error, { json: argv.includes('--json'), debug: argv.includes('--debug') });
    return exitCodeOf(error);
  }
}

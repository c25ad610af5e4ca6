import { Argument, type Command } from 'commander';
import type { VerificationAnswer } from '../answers.ts';
import { CliError, EXIT, type Io } from '../io.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, type MirrorName, mirrorName, toJson } from '../options.ts';
import { progressLine, showVerification } from '../show-verification.ts';
import { untilEnded } from '../until-ended.ts';

interface VerifyOptions extends ApiOptions {
  readonly topics?: string[];
  readonly from?: string;
  readonly to?: string;
  readonly repair?: boolean;
}

/** Whatever keeps a comparison from its end is told apart from differences, which are exit code 1. */
function couldNotRun(error: unknown): unknown {
  return error instanceof CliError && error.exitCode === EXIT.failed
    ? new CliError(EXIT.input, error.message, error.details, error)
    : error;
}

async function verify(
  { link, name }: MirrorName,
  { topics, from, to, repair, ...options }: VerifyOptions,
  io: Io,
): Promise<VerificationAnswer> {
  const api = connect(io, options);
  const given = Object.entries({ topics, from, to, repair }).filter(([, value]) => value !== undefined);
  const started = (await api.send('POST', '/v1/verifications', {
    link,
    mirror: name,
    ...Object.fromEntries(given),
  })) as VerificationAnswer;
  return await untilEnded(api, io, `/v1/verifications/${started.id}`, progressLine);
}

const HELP = `
Exit codes:
  0  source and target hold the same
  1  they differ
  2  it could not be run, or not to its end
  3  the process does not answer

Examples:
  isthmus verify east-west/orders
  isthmus verify east-west/orders --topics orders-eu --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z
  isthmus verify east-west/orders --repair
  isthmus verify east-west/orders --json | jq ".differences[] | select(.kind == \\"missing\\")"`;

export function addVerify(program: Command, { io, endWith }: CliContext): void {
  const command = program
    .command('verify')
    .summary('compare source and target of a mirror')
    .description(
      'Compares what a mirror has brought across, record by record: what is missing, doubled, changed, or out of order within its key. What is not mirrored yet is not compared. It runs in the process of `isthmus run`; interrupting this command cancels it.',
    )
    .addArgument(new Argument('<link/mirror>', 'for example east-west/orders').argParser(mirrorName))
    .option('-t, --topics <names...>', 'only these source topics')
    .option('--from <when>', 'only what the source has stored at this moment or later, such as 2026-11-01T00:00:00Z')
    .option('--to <when>', 'only what the source has stored before this moment')
    .option('--repair', 'send what is missing; the mirror stands still for as long as that takes')
    .addHelpText('after', HELP);
  apiOptions(command).action(async (mirror: MirrorName, options: VerifyOptions) => {
    const answer = await verify(mirror, options, io).catch((error: unknown) => {
      throw couldNotRun(error);
    });
    io.out(options.json === true ? toJson(answer) : showVerification(answer));
    if (answer.state === 'different') endWith(EXIT.failed);
    else if (answer.state !== 'equal') endWith(EXIT.input);
  });
}

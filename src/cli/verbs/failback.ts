import { Argument, type Command, Option } from 'commander';
import type { FailbackAnswer } from '../answers.ts';
import type { ApiClient } from '../api-client.ts';
import { CliError, EXIT, type Io } from '../io.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, toJson } from '../options.ts';
import { failbackLine, showFailback } from '../show-failback.ts';
import { untilEnded } from '../until-ended.ts';
import { linkName, linkPath } from './groups.ts';

interface FailbackOptions extends ApiOptions {
  readonly policy?: string;
  readonly reviewTopic?: string;
  readonly yes?: boolean;
  readonly status?: boolean;
}

const HELP = `
Policies:
  append  the records come behind what the target has, in their order
  drop    they stay where they are
  review  they are written to a topic of their own on the target, and stay where they are

Examples:
  isthmus failback east-west
  isthmus failback east-west --policy append --yes
  isthmus failback east-west --policy review --review-topic to-look-at --yes
  isthmus failback east-west --status --json`;

/** Begins one, and waits for its end. */
async function play(api: ApiClient, io: Io, path: string, body: object): Promise<FailbackAnswer> {
  await api.send('POST', path, body);
  return await untilEnded<FailbackAnswer>(api, io, path, failbackLine);
}

async function latest(api: ApiClient, path: string): Promise<FailbackAnswer | undefined> {
  try {
    return (await api.get(path)) as FailbackAnswer;
  } catch (error) {
    if (error instanceof CliError && Reflect.get(error.details, 'code') === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** What a policy is for: the listing that somebody has seen, that of a policy which has not come to its end, or a new one. */
async function listed(api: ApiClient, io: Io, path: string, policy: string): Promise<FailbackAnswer> {
  const answer = await latest(api, path);
  const goesOn = answer?.policy === policy && (answer.state === 'failed' || answer.state === 'cancelled');
  return answer !== undefined && (answer.state === 'listed' || goesOn) ? answer : await play(api, io, path, {});
}

export function addFailback(program: Command, { io, endWith }: CliContext): void {
  const command = program
    .command('failback')
    .summary('show and settle what a lost region still has, when it is back')
    .description(
      'Lists the records that only the source of a link has after an unplanned failover, per key, with conflicts. With a policy and --yes it says what becomes of them, and lets the mirrors of the link run again.',
    )
    .addArgument(new Argument('<link>', 'for example east-west').argParser(linkName))
    .addOption(new Option('--policy <policy>', 'what becomes of the records').choices(['append', 'drop', 'review']))
    .option('--review-topic <topic>', 'topic of the target for the policy review')
    .option('--yes', 'do it; without it nothing is changed')
    .option('--status', 'only show the last one')
    .addHelpText('after', HELP);
  apiOptions(command).action(async (link: string, options: FailbackOptions) => {
    const { policy, reviewTopic, yes, status } = options;
    const api = connect(io, options);
    const path = `${linkPath(link)}/failback`;
    let answer: FailbackAnswer;
    if (status === true) answer = (await api.get(path)) as FailbackAnswer;
    else if (policy === undefined) answer = await play(api, io, path, {});
    else {
      answer = await listed(api, io, path, policy);
      const listing = answer.listing?.id;
      const isReady = listing !== undefined && (answer.state === 'listed' || answer.policy === policy);
      if (yes === true && isReady)
        answer = await play(api, io, path, { policy, listing, ...(reviewTopic === undefined ? {} : { reviewTopic }) });
      else if (isReady && options.json !== true) io.err('nothing is changed without --yes');
    }
    io.out(options.json === true ? toJson(answer) : showFailback(answer));
    if (answer.state === 'failed' || answer.state === 'cancelled') endWith(EXIT.failed);
  });
}

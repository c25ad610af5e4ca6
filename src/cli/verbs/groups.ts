import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { GroupAnswer, LinkGroupsAnswer, PositionAnswer } from '../answers.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, toJson } from '../options.ts';
import { showGroup, showGroups, showPosition } from '../show-groups.ts';

interface GroupsOptions extends ApiOptions {
  readonly sync?: boolean;
}

interface TranslateOptions extends ApiOptions {
  readonly topic: string;
  readonly lane: string;
  readonly position: string;
}

export function linkName(text: string): string {
  if (text === '' || text.includes('/')) throw new InvalidArgumentError('It must be the name of a link, for example east-west.');
  return text;
}

export function linkPath(link: string): string {
  return `/v1/links/${encodeURIComponent(link)}`;
}

export function addGroups(program: Command, { io }: CliContext): void {
  const command = program
    .command('groups')
    .summary('show where consumer groups would go on at the target')
    .description(
      'Shows, for each consumer group or subscription of a link, the place where it goes on at the target: exact, floor (and how many records are read again), unknown or too-old.',
    )
    .addArgument(new Argument('<link>', 'for example east-west').argParser(linkName))
    .argument('[group]', 'only this group, with all its places')
    .option('--sync', 'read, translate and (where the link says so) apply the progress of all groups first')
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus groups east-west\n  isthmus groups east-west billing\n  isthmus groups east-west --sync --json | jq ".groups[] | select(.kind != \\"exact\\")"',
    );
  apiOptions(command).action(async (link: string, group: string | undefined, { sync, ...options }: GroupsOptions) => {
    const api = connect(io, options);
    if (sync === true) await api.send('POST', `${linkPath(link)}/groups/sync`);
    const now = Date.now();
    if (group === undefined) {
      const answer = (await api.get(`${linkPath(link)}/groups`)) as LinkGroupsAnswer;
      io.out(options.json === true ? toJson(answer) : showGroups(answer, now));
    } else {
      const answer = (await api.get(`${linkPath(link)}/groups/${encodeURIComponent(group)}`)) as GroupAnswer;
      io.out(options.json === true ? toJson(answer) : showGroup(answer, now));
    }
  });
}

export function addTranslate(program: Command, { io }: CliContext): void {
  const command = program
    .command('translate')
    .summary('show where a source position lies in the target')
    .description(
      'Translates one position of a source lane into places in the target: the first record at or after it in each partition that the lane writes.',
    )
    .addArgument(new Argument('<link>', 'for example east-west').argParser(linkName))
    .requiredOption('--topic <topic>', 'source topic')
    .requiredOption('--lane <lane>', 'source lane: a queue such as broker-a:3, or a partition such as 3')
    .requiredOption('--position <position>', '125000 on RocketMQ; 812:45 or 812:45:3 on Pulsar')
    .addHelpText('after', '\nExample:\n  isthmus translate east-west --topic orders-eu --lane broker-a:3 --position 125000');
  apiOptions(command).action(async (link: string, { topic, lane, position, ...options }: TranslateOptions) => {
    const query = new URLSearchParams({ topic, lane, position });
    const answer = (await connect(io, options).get(`${linkPath(link)}/translate?${query.toString()}`)) as PositionAnswer;
    io.out(options.json === true ? toJson(answer) : showPosition(answer));
  });
}

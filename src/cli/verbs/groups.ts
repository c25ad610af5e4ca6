import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { GroupAnswer, GroupsAppliedAnswer, LinkGroupsAnswer, PositionAnswer } from '../answers.ts';
import { EXIT } from '../io.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, toJson } from '../options.ts';
import { showApplied, showGroup, showGroups, showPosition } from '../show-groups.ts';

interface GroupsOptions extends ApiOptions {
  readonly sync?: boolean;
}

interface ApplyOptions extends ApiOptions {
  readonly topic?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
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

export function addGroups(program: Command, context: CliContext): void {
  const { io } = context;
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
  addApply(command, context);
}

function addApply(groups: Command, { io, endWith }: CliContext): void {
  const command = groups
    .command('apply')
    .summary('move groups to their present places at the target once, also by force')
    .description(
      'Moves the groups of a link to their present places at the target, once, whatever `apply` of the link says. Without --force as the sync does it: not where consumers are connected to the target, and never backwards.',
    )
    .addArgument(new Argument('<link>', 'for example east-west').argParser(linkName))
    .argument('[group]', 'only this group, by its name on the source')
    .option('--topic <topic>', 'only in this topic of the source')
    .option('--force', 'also where consumers are connected, and also backwards: they read again what they had done beyond')
    .option('--yes', 'do it by force; without it --force only shows the places')
    .addHelpText(
      'after',
      '\nExamples:\n  isthmus groups apply east-west\n  isthmus groups apply east-west billing --topic orders-eu --force\n  isthmus groups apply east-west billing --topic orders-eu --force --yes --json',
    );
  // `--url` and its like are options of `groups` as well, which has taken them when it hands over.
  apiOptions(command).action(async (link: string, group: string | undefined, _: ApplyOptions, self: Command) => {
    const { topic, force, yes, ...options } = self.optsWithGlobals<ApplyOptions>();
    const dryRun = force === true && yes !== true;
    const body = {
      ...(group === undefined ? {} : { group }),
      ...(topic === undefined ? {} : { topic }),
      ...(force === true ? { force } : {}),
      ...(dryRun ? { dryRun } : {}),
    };
    const answer = (await connect(io, options).send('POST', `${linkPath(link)}/groups/apply`, body)) as GroupsAppliedAnswer;
    io.out(options.json === true ? toJson(answer) : showApplied(answer));
    if (dryRun && options.json !== true) io.err('nothing is changed without --yes');
    if (!dryRun && (answer.trouble !== null || answer.groups.some(({ state }) => state === 'waiting'))) endWith(EXIT.failed);
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

import { Argument, type Command } from 'commander';
import type { ReplayAnswer } from '../answers.ts';
import { EXIT, printable, table } from '../io.ts';
import {
  type ApiOptions,
  apiOptions,
  type CliContext,
  connect,
  type MirrorName,
  mirrorName,
  toJson,
  wholeNumber,
} from '../options.ts';
import { untilEnded } from '../until-ended.ts';

interface ReplayOptions extends ApiOptions {
  readonly topic?: string[];
  readonly limit?: number;
  readonly dryRun?: boolean;
  readonly skipRefused?: boolean;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Those that are put back, or would be. */
const wanted = ({ found, stored }: ReplayAnswer['topics'][number]): number => found - stored;

function progressLine({ topics }: ReplayAnswer): string {
  return `${sum(topics.map(({ replayed }) => replayed))} of ${sum(topics.map(wanted))} dead letters are back`;
}

function verdict({ state, dryRun, topics, trouble }: ReplayAnswer): string {
  const [found, stored, replayed, refused] = [
    sum(topics.map((topic) => topic.found)),
    sum(topics.map((topic) => topic.stored)),
    sum(topics.map((topic) => topic.replayed)),
    sum(topics.map((topic) => topic.refused)),
  ];
  if (state === 'failed')
    return `${replayed} are back, then it ended: ${trouble?.code ?? ''}: ${printable(trouble?.message ?? '')}`;
  if (state === 'cancelled') return `cancelled; ${replayed} are back`;
  if (found === 0) return 'there are no dead letters that were not replayed';
  const there = stored === 0 ? '' : `, ${stored} were in the target already`;
  if (dryRun) return `${found - stored} would be put back${there}`;
  return `${replayed} are back${refused === 0 ? '' : `, ${refused} were refused again`}${there}`;
}

function show(answer: ReplayAnswer): string {
  const { topics, letters, dryRun } = answer;
  const rows = topics.map(({ topic, deadLetterTopic, targetTopic, found, unfit, stored, replayed, refused }) => [
    topic,
    `${deadLetterTopic} -> ${targetTopic}`,
    found,
    stored,
    replayed,
    refused,
    unfit,
  ]);
  const list = letters
    .filter(({ stored }) => !stored)
    .map(({ at, topic, lane, position, reason }) => [at, `${topic} ${lane} ${position}`, reason]);
  return [
    ...(rows.length === 0 ? [] : [table(['TOPIC', 'FROM -> TO', 'FOUND', 'STORED', 'BACK', 'REFUSED', 'UNFIT'], rows)]),
    ...(dryRun && list.length > 0 ? [table(['AT', 'CAME FROM', 'REASON'], list)] : []),
    verdict(answer),
  ].join('\n\n');
}

const HELP = `
Examples:
  isthmus mirrors replay east-west/orders --dry-run
  isthmus mirrors replay east-west/orders --topic orders-eu --limit 1000`;

export function addMirrorsReplay(parent: Command, { io, endWith }: CliContext): void {
  const command = parent
    .command('replay')
    .summary('put dead letters back into their target topics')
    .description(
      'Puts the records that the target had refused into the topics where they belong, in the order in which they were refused, when the cause is mended. Those replayed before are not replayed again. It runs in the process of `isthmus run`, beside the mirror; interrupting this command cancels it. Exit code 1 when it did not come to its end.',
    )
    .addArgument(new Argument('<link/mirror>', 'for example east-west/orders').argParser(mirrorName))
    .option('-t, --topic <names...>', 'only dead letters of these source topics')
    .option('--limit <n>', 'at most so many per topic', wholeNumber)
    .option('--dry-run', 'only show what would be put back')
    .option('--skip-refused', 'pass over what the target refuses again, instead of stopping there; it is not tried again')
    .addHelpText('after', HELP);
  apiOptions(command).action(async ({ path }: MirrorName, { topic, limit, dryRun, skipRefused, ...options }: ReplayOptions) => {
    const api = connect(io, options);
    const given = Object.entries({ topics: topic, limit, dryRun, skipRefused }).filter(([, value]) => value !== undefined);
    await api.send('POST', `${path}/replay`, Object.fromEntries(given));
    const answer = await untilEnded<ReplayAnswer>(api, io, `${path}/replay`, progressLine);
    io.out(options.json === true ? toJson(answer) : show(answer));
    if (answer.state !== 'done') endWith(EXIT.failed);
  });
}

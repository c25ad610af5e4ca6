import { Argument, type Command, Option } from 'commander';
import type { FailoverAnswer, FailoverPlanAnswer } from '../answers.ts';
import { EXIT, type Io } from '../io.ts';
import { type ApiOptions, apiOptions, type CliContext, connect, toJson } from '../options.ts';
import { failoverLine, showFailover, showPlan } from '../show-failover.ts';
import { linkName, linkPath } from './groups.ts';

interface FailoverOptions extends ApiOptions {
  readonly unplanned?: boolean;
  readonly drainTimeout?: string;
  readonly force?: boolean;
  readonly detach?: boolean;
}

const LOOK_MILLIS = 1_000;

const HELP = `
Examples:
  isthmus failover plan east-west
  isthmus failover plan east-west --json > plan.json
  isthmus failover start east-west
  isthmus failover start east-west --unplanned
  isthmus failover status east-west --json > certificate.json`;

function kindOf({ unplanned }: FailoverOptions): 'planned' | 'unplanned' {
  return unplanned === true ? 'unplanned' : 'planned';
}

/** Until it has ended: what it does is told when that changes. */
async function watch(link: string, options: ApiOptions, io: Io): Promise<FailoverAnswer> {
  const api = connect(io, options);
  let told = '';
  while (true) {
    const answer = (await api.get(`${linkPath(link)}/failover`)) as FailoverAnswer;
    const line = failoverLine(answer);
    if (line !== told && options.json !== true) io.err(line);
    told = line;
    if (answer.state !== 'running') return answer;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MILLIS));
  }
}

export function addFailover(program: Command, { io, endWith }: CliContext): void {
  const failover = program
    .command('failover')
    .summary('move the use of topics from the source of a link to its target')
    .description('Plans, begins, watches and aborts the failover of a link. See docs/FAILOVER.md for what to do when.')
    .addHelpText('after', HELP);
  const verb = (name: string, summary: string): Command =>
    apiOptions(
      failover
        .command(name)
        .summary(summary)
        .description(`${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.`)
        .addArgument(new Argument('<link>', 'for example east-west').argParser(linkName)),
    );
  const kindOption = (): Option => new Option('--unplanned', 'the source is gone: what was last seen of it has to do');

  verb('plan', 'show what a failover would come to; nothing is changed')
    .addOption(kindOption())
    .action(async (link: string, options: FailoverOptions) => {
      const body = { kind: kindOf(options), dryRun: true };
      const plan = (await connect(io, options).send('POST', `${linkPath(link)}/failover`, body)) as FailoverPlanAnswer;
      io.out(options.json === true ? toJson(plan) : showPlan(plan));
      if (plan.blockers.length > 0) endWith(EXIT.failed);
    });

  verb('start', 'begin a failover, and watch it to its end')
    .addOption(kindOption())
    .option(
      '--drain-timeout <duration>',
      'how long the target may take to get what the source still gives (default: 10m; unplanned: 30s)',
    )
    .option('--force', 'begin although the plan has blockers')
    .option('--detach', 'do not wait for its end')
    .action(async (link: string, options: FailoverOptions) => {
      const { drainTimeout, force } = options;
      const body = {
        kind: kindOf(options),
        ...(drainTimeout === undefined ? {} : { drainTimeout }),
        ...(force === true ? { force } : {}),
      };
      const started = (await connect(io, options).send('POST', `${linkPath(link)}/failover`, body)) as FailoverAnswer;
      const answer = options.detach === true ? started : await watch(link, options, io);
      io.out(options.json === true ? toJson(answer) : showFailover(answer));
      if (answer.state === 'failed' || answer.state === 'aborted') endWith(EXIT.failed);
    });

  verb('status', 'show the last failover of a link, with its certificate').action(async (link: string, options: ApiOptions) => {
    const answer = (await connect(io, options).get(`${linkPath(link)}/failover`)) as FailoverAnswer;
    io.out(options.json === true ? toJson(answer) : showFailover(answer));
    if (answer.state === 'failed') endWith(EXIT.failed);
  });

  verb('abort', 'abort a failover that has not released the target yet').action(async (link: string, options: ApiOptions) => {
    const answer = (await connect(io, options).send('DELETE', `${linkPath(link)}/failover`)) as FailoverAnswer;
    io.out(options.json === true ? toJson(answer) : showFailover(answer));
  });
}

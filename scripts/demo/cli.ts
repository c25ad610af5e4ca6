/** The `npm run demo` command. */
import { parseArgs } from 'node:util';
import { type Eyes, startEyes } from '../../test/kit/eyes.ts';
import { chooseProvider } from '../brokers/cli.ts';
import { BrokersError } from '../brokers/errors.ts';
import { parseOffset, type ServerName } from '../brokers/table.ts';
import { ProgramError } from '../program/program.ts';
import { DemoError } from './errors.ts';
import { makePlan, servers } from './plan.ts';
import { openScreen, type Screen } from './screen.ts';
import { play } from './story.ts';

const help = `Isthmus at work, active-active, from nothing to a verdict, in about two minutes (the first time also downloads of about 400 MB).

Starts a RocketMQ and a Pulsar cluster and Redis as local processes and runs the replicator as a process of its own, with a link
each way. Applications write orders to both clusters through the official Java clients, to topics of the same name. Then it adds one
more mirror over HTTP, kills the replicator in the middle and starts it again, and compares both clusters by id, by order per
key and by content: each order once on both sides, and none ever back.

Usage: npm run demo [-- options]

  --once        end after the verdict, with exit code 0 or 1; else it goes on until Ctrl+C
  --offset N    shift the brokers' ports by N (default: $ISTHMUS_PORT_OFFSET, else 0)
  --help        this text

What it starts it stops at its end; what runs already ("npm run brokers -- up") it uses and leaves.
It needs a JDK (17 or newer), Maven and redis-server, or a Docker engine and ISTHMUS_BROKERS=docker.

Exit codes: 0 nothing lost, doubled, reordered, changed or sent back; 1 otherwise, or something failed; 2 something is not installed
or the command is wrong; 130 interrupted before the verdict.
`;

type Endings = (() => Promise<void>)[];

/** Runs the command line and resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const screen = openScreen(process.stdout);
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: 'boolean', default: false },
        offset: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      screen.say(help);
      return 0;
    }
    return await perform(screen, values.once, parseOffset(values.offset ?? process.env['ISTHMUS_PORT_OFFSET']));
  } catch (error) {
    if (error instanceof BrokersError || error instanceof DemoError || error instanceof ProgramError) {
      screen.say(`\n${error.message}`);
      return error instanceof BrokersError ? error.exitCode : 1;
    }
    if (error instanceof RangeError || (error instanceof TypeError && 'code' in error)) {
      screen.say(`${error.message}\nTry: npm run demo -- --help`);
      return 2;
    }
    throw error;
  }
}

async function perform(screen: Screen, once: boolean, offset: number): Promise<number> {
  const interruption = new AbortController();
  const endings: Endings = [];
  const interrupt = (): void => {
    if (interruption.signal.aborted) return;
    screen.say('');
    screen.note('Stopping what was started; a moment.');
    interruption.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  let verdict: boolean | undefined;
  try {
    screen.say('Isthmus: orders on RocketMQ in the east and on Pulsar in the west, each for both');
    const eyes = await setUp(screen, offset, endings, interruption.signal);
    const plan = await makePlan(offset);
    const atEnd = (end: () => Promise<void>): void => void endings.push(end);
    verdict = await play({ plan, eyes, screen, signal: interruption.signal, once, atEnd });
  } catch (error) {
    // What an interruption breaks off is no failure.
    if (!interruption.signal.aborted) throw error;
  } finally {
    screen.settle();
    await endAll(endings, screen, interruption.signal);
  }
  if (verdict === undefined) return 130;
  return verdict ? 0 : 1;
}

/** Brokers and the Java program. */
async function setUp(screen: Screen, offset: number, endings: Endings, signal: AbortSignal): Promise<Eyes> {
  screen.step(`Servers: ${servers.join(', ')}`);
  const report = (line: string): void => screen.say(`             ${line}`);
  const provider = chooseProvider({ offset, report });
  const running = async (names: readonly ServerName[]): Promise<readonly ServerName[]> =>
    (await provider.status(names)).filter(({ state }) => state !== 'stopped').map(({ name }) => name);
  const before = await running(servers);
  endings.push(async () => {
    const ours = await running(servers.filter((name) => !before.includes(name)));
    if (ours.length === 0) return;
    screen.note(`Stopping ${ours.join(', ')}`);
    await provider.down(ours, false);
    screen.note('Done');
  });
  await provider.up(servers);
  signal.throwIfAborted();
  const eyes = await startEyes().catch((error: unknown) => {
    throw new DemoError(error instanceof Error ? error.message : String(error), { cause: error });
  });
  endings.push(async () => await eyes.close());
  return eyes;
}

async function endAll(endings: Endings, screen: Screen, signal: AbortSignal): Promise<void> {
  for (const end of endings.toReversed()) {
    try {
      await end();
    } catch (error) {
      // The terminal's Ctrl+C reaches the Java program as well; what it can then not do any more is no news.
      if (!signal.aborted) screen.say(`While stopping: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Follows the run and keeps the live line true: what was sent, what has arrived on the other side, and how far behind that is. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../program/program.ts';
import type { Api } from './api.ts';
import { DemoError } from './errors.ts';
import { count } from './format.ts';
import { type Flow, links, otherThan, type Region } from './plan.ts';
import type { Producer } from './producer.ts';
import type { Screen } from './screen.ts';
import type { SideOfDemo } from './sides.ts';

const turnMillis = 250;
const stallMillis = 60_000;

export type Watch = {
  /** Also follows this flow; `mirrored`: a mirror carries it already. */
  readonly add: (flow: Flow, producer: Producer, mirrored: boolean) => void;
  /** From now on a mirror carries the flow. */
  readonly mirrors: (flow: Flow) => void;
  /** Messages of the flow that are on the other side, by its brokers' counters; the verdict does not rely on it. */
  readonly arrived: (flow: Flow) => number;
  /** Resolves when all that was sent to mirrored flows until this call has arrived. Rejects when nothing moves for a minute. */
  readonly untilCaughtUp: (signal: AbortSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
};

type Row = { flow: Flow; producer: Producer; mirrored: boolean; arrived: number; lagSeconds: number | null };

export function startWatch(screen: Screen, api: Api, replicator: Program, sides: Readonly<Record<Region, SideOfDemo>>): Watch {
  const rows: Row[] = [];
  let stopping = false;
  let trouble: string | undefined;
  const look = async (): Promise<void> => {
    const statuses = replicator.pid() === undefined ? [] : await answer(api.mirrors(), []);
    trouble = undefined;
    for (const row of rows) {
      const status = statuses.find(({ link, name }) => link === links[row.flow.writer] && name === row.flow.mirror);
      row.lagSeconds = status?.lagSeconds ?? null;
      if (status?.trouble) trouble ??= `${status.trouble.code}: ${status.trouble.message}`;
      if (row.mirrored) row.arrived = Math.max(row.arrived, await countArrived(row));
    }
  };
  /** What the other side's topic holds, less what is written there. */
  const countArrived = async ({ flow, producer }: Row): Promise<number> => {
    const away = otherThan(flow.writer);
    const theirs = rows.find((row) => row.flow.topic === flow.topic && row.flow.writer === away);
    const before = theirs?.producer.sent() ?? 0;
    const there = await answer(sides[away].messagesIn(flow.topic), 0);
    return Math.min(producer.sent(), Math.max(0, there - before));
  };
  const work = async (): Promise<void> => {
    while (!stopping) {
      await look();
      const away = replicator.pid() === undefined ? '  [replicator is down]' : '';
      screen.live(`${rows.map(describe).join('   ')}${away}`);
      await sleep(turnMillis);
    }
    screen.settle();
  };
  const working = work();
  working.catch(() => undefined);
  return {
    add: (flow, producer, mirrored) => void rows.push({ flow, producer, mirrored, arrived: 0, lagSeconds: null }),
    mirrors: (flow) => {
      for (const row of rows) if (row.flow === flow) row.mirrored = true;
    },
    arrived: (flow) => rows.find((row) => row.flow === flow)?.arrived ?? 0,
    untilCaughtUp: async (signal) => {
      const wanted = rows.filter((row) => row.mirrored).map((row) => ({ row, sent: row.producer.sent() }));
      const lacking = (): number => wanted.reduce((sum, { row, sent }) => sum + Math.max(0, sent - row.arrived), 0);
      let before = { arrived: -1, at: performance.now() };
      while (lacking() > 0) {
        replicator.assertRunning();
        const arrived = rows.reduce((sum, row) => sum + row.arrived, 0);
        if (arrived > before.arrived) before = { arrived, at: performance.now() };
        if (performance.now() - before.at > stallMillis) {
          throw new DemoError(
            `Nothing has arrived for a minute, and ${count(lacking())} messages are missing.\n${trouble ?? ''}`,
          );
        }
        await sleep(turnMillis, undefined, { signal });
      }
    },
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}

/** What is answered; `otherwise` where nothing is, as while something starts. Waiting for what is missing has a limit of its own. */
async function answer<T>(asked: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await asked;
  } catch {
    return otherwise;
  }
}

function describe({ flow, producer, mirrored, arrived, lagSeconds }: Row): string {
  const sent = `${flow.name}: ${count(producer.sent())} sent`;
  if (!mirrored) return `${sent}, no mirror yet`;
  const age = lagSeconds === null ? '' : ` (${lagSeconds.toFixed(1)} s)`;
  return `${sent}, lag ${count(Math.max(0, producer.sent() - arrived))}${age}`;
}

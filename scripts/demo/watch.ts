/** Follows the run and keeps the live line true: what was sent, what has arrived, and how far behind that is. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../program/program.ts';
import type { Api } from './api.ts';
import { DemoError } from './errors.ts';
import { count } from './format.ts';
import { type DemoTopic, link } from './plan.ts';
import type { Producer } from './producer.ts';
import type { Screen } from './screen.ts';

const turnMillis = 250;
const stallMillis = 60_000;

export type Watch = {
  /** Also follows this topic; `mirrored`: a mirror carries it already. */
  readonly add: (topic: DemoTopic, producer: Producer, mirrored: boolean) => void;
  /** From now on a mirror carries the topic. */
  readonly mirrors: (topic: DemoTopic) => void;
  /** Messages that the replicator says are stored on Pulsar; the verdict does not rely on it. */
  readonly arrived: (topic: DemoTopic) => number;
  /** Resolves when all that was sent to mirrored topics until this call has arrived. Rejects when nothing moves for a minute. */
  readonly untilCaughtUp: (signal: AbortSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
};

type Row = { topic: DemoTopic; producer: Producer; mirrored: boolean; arrived: number; lagSeconds: number | null };

export function startWatch(screen: Screen, api: Api, replicator: Program): Watch {
  const rows: Row[] = [];
  let stopping = false;
  let trouble: string | undefined;
  const look = async (): Promise<void> => {
    const statuses = replicator.pid() === undefined ? [] : await answer(api.mirrors(), []);
    trouble = undefined;
    for (const row of rows) {
      const status = statuses.find((each) => each.name === row.topic.mirror);
      row.lagSeconds = status?.lagSeconds ?? null;
      if (status === undefined) continue;
      const lanes = await answer(api.lanes(link, row.topic.mirror), []);
      // The topic is new, so a queue's next offset is the number of its messages that are done.
      row.arrived = Math.max(
        row.arrived,
        lanes.reduce((sum, lane) => sum + Number(lane.next ?? 0), 0),
      );
      if (status.trouble !== null) trouble ??= `${status.trouble.code}: ${status.trouble.message}`;
    }
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
    add: (topic, producer, mirrored) => void rows.push({ topic, producer, mirrored, arrived: 0, lagSeconds: null }),
    mirrors: (topic) => {
      for (const row of rows) if (row.topic === topic) row.mirrored = true;
    },
    arrived: (topic) => rows.find((row) => row.topic === topic)?.arrived ?? 0,
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

/** What the API answers; `otherwise` where it does not, as while it starts. Waiting for what is missing has a limit of its own. */
async function answer<T>(asked: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await asked;
  } catch {
    return otherwise;
  }
}

function describe(row: Row): string {
  const { topic, producer, mirrored, arrived, lagSeconds } = row;
  const sent = `${topic.mirror}: ${count(producer.sent())} sent`;
  if (!mirrored) return `${sent}, no mirror yet`;
  const lag = Math.max(0, producer.sent() - arrived);
  const age = lagSeconds === null ? '' : ` (${lagSeconds.toFixed(1)} s)`;
  return `${sent}, ${count(arrived)} mirrored, lag ${count(lag)}${age}`;
}

/** The verdict: what the official Java clients read on both sides, compared. */
import { setTimeout as sleep } from 'node:timers/promises';
import { looped } from '../../test/checkers/looped.ts';
import { judge, type Verdict } from '../../test/checkers/verdict.ts';
import { isFrom } from './orders.ts';
import { otherThan, type Region } from './plan.ts';
import type { SideOfDemo, View } from './sides.ts';

export type Comparison = Verdict & {
  /** Messages whose body, key, tags or properties differ. */
  readonly changed: number;
  /** Messages that came back to where they were written. */
  readonly looped: number;
  /** From the source's store to the moment when the mirror sent it on, by the clock of this machine. */
  readonly medianDelayMillis: number;
  readonly longestDelayMillis: number;
};

/** What the producers say, by name; the rest of a message's properties is the brokers' own. */
const saidByProducers = ['seq', 'market', 'note', 'status', 'KEYS', 'TAGS', '__SHARDINGKEY', 'UNIQ_KEY'] as const;

const arrivalMillis = 30_000;

/** All of the topic on both sides, as soon as each holds `expected` messages: those of all applications that write it. */
export async function readBoth(
  sides: Readonly<Record<Region, SideOfDemo>>,
  topic: string,
  expected: number,
): Promise<Readonly<Record<Region, readonly View[]>>> {
  const until = performance.now() + arrivalMillis;
  const read = async (region: Region): Promise<readonly View[]> => {
    for (;;) {
      const views = await sides[region].read(topic, expected);
      if (views.length >= expected || performance.now() > until) return views;
      await sleep(500);
    }
  };
  return { east: await read('east'), west: await read('west') };
}

/** `home`: all of the topic where `writer` writes, `away`: all of it on the other side; lane by lane, each in its order. */
export function compareViews(writer: Region, home: readonly View[], away: readonly View[]): Comparison {
  const returned = looped(home, (id) => isFrom(writer, id));
  const written = home.filter((view) => isFrom(writer, view.id) && !returned.includes(view));
  const mirrored = away.filter((view) => !isFrom(otherThan(writer), view.id));
  const verdict = judge(written, mirrored);
  const originals = new Map(written.map((view) => [view.id, view]));
  const changes = mirrored.flatMap((view) => {
    const original = originals.get(view.id);
    const what = original === undefined ? undefined : difference(original, view);
    return what === undefined ? [] : [`changed: ${what} of id ${view.id}`];
  });
  const delays = mirrored
    .map((view) => view.storedAt - (originals.get(view.id)?.storedAt ?? view.storedAt))
    .sort((a, b) => a - b);
  const [medianDelayMillis = 0, longestDelayMillis = 0] = [delays[Math.floor(delays.length / 2)], delays.at(-1)];
  const loops = returned.slice(0, 3).map((view) => `looped: id ${view.id} at ${view.lane}/${view.place}`);
  const examples = [...verdict.examples, ...changes.slice(0, 3), ...loops];
  return { ...verdict, changed: changes.length, looped: returned.length, medianDelayMillis, longestDelayMillis, examples };
}

export function isFaultless({ lost, doubled, reordered, strangers, changed, looped: returned }: Comparison): boolean {
  return lost + doubled + reordered + strangers + changed + returned === 0;
}

function difference(original: View, copy: View): string | undefined {
  if (original.bodySha256 !== copy.bodySha256) return 'the body';
  if (original.key !== copy.key) return 'the key';
  if (original.eventTime !== copy.eventTime) return 'the event time';
  return saidByProducers.find((name) => name in original.properties && original.properties[name] !== copy.properties[name]);
}

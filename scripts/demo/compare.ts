/** The verdict: what the official Java clients read on both sides, compared. */
import type { Row } from '../../test/checkers/row.ts';
import { judge, type Verdict } from '../../test/checkers/verdict.ts';
import type { PulsarEyes, PulsarRow } from '../../test/kit/pulsar-eyes.ts';
import type { RocketmqEyes, RocketmqRow } from '../../test/kit/rocketmq-eyes.ts';
import { idProperty } from './orders.ts';
import type { DemoTopic } from './plan.ts';

export type Comparison = Verdict & {
  /** Messages whose body, key, tags or properties differ. */
  readonly changed: number;
  /** From the source's store to the moment when the mirror sent it on, by the clock of this machine. */
  readonly medianDelayMillis: number;
  readonly longestDelayMillis: number;
};

/** What the producer said, by name; the rest of a message's properties is the brokers' own. */
const saidByProducer = [idProperty, 'region', 'note', 'KEYS', 'TAGS', '__SHARDINGKEY', 'UNIQ_KEY'] as const;

export async function compareTopics(source: RocketmqEyes, target: PulsarEyes, topic: DemoTopic): Promise<Comparison> {
  const written = await source.read(topic.source, { expect: topic.count });
  return compareRows(written, await target.read(topic.target));
}

/** `mirrored`: partition by partition, each in its order. */
export function compareRows(written: readonly RocketmqRow[], mirrored: readonly PulsarRow[]): Comparison {
  const verdict = judge(written.map(sourceRow), mirrored.map(targetRow));
  const originals = new Map(written.map((row) => [row.properties[idProperty], row]));
  const changes = mirrored.flatMap((row) => {
    const original = originals.get(row.properties[idProperty]);
    const what = original === undefined ? undefined : difference(original, row);
    return what === undefined ? [] : [`changed: ${what} of id ${row.properties[idProperty]}`];
  });
  const delays = mirrored
    .map((row) => row.publishTime - (originals.get(row.properties[idProperty])?.storeTimestamp ?? row.publishTime))
    .sort((a, b) => a - b);
  const [medianDelayMillis = 0, longestDelayMillis = 0] = [delays[Math.floor(delays.length / 2)], delays.at(-1)];
  const examples = [...verdict.examples, ...changes.slice(0, 3)];
  return { ...verdict, changed: changes.length, medianDelayMillis, longestDelayMillis, examples };
}

export function isFaultless(comparison: Comparison): boolean {
  return comparison.lost + comparison.doubled + comparison.reordered + comparison.strangers + comparison.changed === 0;
}

function sourceRow(row: RocketmqRow): Row {
  return {
    lane: `${row.broker}:${row.queue}`,
    place: row.offset,
    id: row.properties[idProperty] ?? null,
    key: row.properties['__SHARDINGKEY'] ?? null,
  };
}

/** Rows come partition by partition in their order, so that the place in the list is a place in the partition. */
function targetRow(row: PulsarRow, place: number): Row {
  return { lane: String(row.partition), place, id: row.properties[idProperty] ?? null, key: row.key };
}

function difference(original: RocketmqRow, copy: PulsarRow): string | undefined {
  if (original.bodySha256 !== copy.bodySha256) return 'the body';
  if (original.properties['__SHARDINGKEY'] !== copy.key) return 'the key';
  if (original.bornTimestamp !== copy.eventTime) return 'the event time';
  return saidByProducer.find((name) => original.properties[name] !== copy.properties[name]);
}

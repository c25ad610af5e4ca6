/** How what was written is found again, where anything that is stored can be looked at. */
import { describe, expect, it } from 'vitest';
import { BEFORE_ALL, comparePositions, type Position } from '../../../../src/model/position.ts';
import type { FoundMark, ScanReport, Sink, Stored } from '../../../../src/spi/sink.ts';
import { numbered, openTestWriter } from '../../../kit/pulsar-writing.ts';
import { soon, upTo } from './reading.ts';
import type { Shore } from './shore.ts';

type Scanned = ScanReport & { readonly offsets: readonly number[]; readonly targets: readonly Position[] };

const entryOf = (position: Position): Position => ({ ...position, index: -1 });

async function scan(
  sink: Sink,
  topic: string,
  after: Position | undefined,
  limitEntries = Number.POSITIVE_INFINITY,
): Promise<Scanned> {
  const marks: FoundMark[] = [];
  const report = await sink.scan(topic, 0, after, limitEntries, (mark) => marks.push(mark));
  return { ...report, offsets: marks.flatMap(offsetsOf), targets: marks.map(({ target }) => target) };
}

function offsetsOf({ provenance }: Pick<FoundMark, 'provenance'>): number[] {
  expect(provenance).toMatchObject({ cluster: 'rmq-east', topic: 'orders', lane: 'broker-a:0' });
  return provenance.runs.flatMap(({ first, count }) => upTo(first.major + count, first.major));
}

async function write(shore: Shore): Promise<{ readonly topic: string; readonly stored: readonly Stored[] }> {
  const { topic } = await shore.newTopic();
  const { writer, write: append, until, stored } = await openTestWriter(shore.cluster.sink, topic);
  for (const n of upTo(5)) {
    await append(numbered(n * 20, n * 20 + 20));
    await soon(until(n * 20 + 20), () => 'it was not stored');
  }
  await writer.close(0);
  return { topic, stored };
}

export function describeMarks(shore: Shore): void {
  describe('what a sink shows of a partition', () => {
    if (shore.cluster.capabilities.stores === 'at-least-once') nothing(shore);
    else all(shore);
  });
}

function all(shore: Shore): void {
  it('is a mark for every record, oldest first, where its writer said that it lies', async () => {
    const { topic, stored } = await write(shore);
    const { offsets, targets, fromBeginning } = await scan(shore.cluster.sink, topic, BEFORE_ALL);
    expect([offsets, fromBeginning]).toEqual([upTo(100), true]);
    for (const [i, target] of targets.entries())
      expect(i === 0 || comparePositions(targets[i - 1] ?? target, target) < 0).toBe(true);
    const places = targets.map((target) => JSON.stringify(entryOf(target)));
    for (const { target } of stored) expect(places).toContain(JSON.stringify(entryOf(target)));
  });

  it('begins behind any place, or with the newest entries', async () => {
    const { topic, stored } = await write(shore);
    const { targets } = await scan(shore.cluster.sink, topic, BEFORE_ALL);
    const place = targets[Math.floor(targets.length / 2)];
    if (place === undefined) throw new Error('nothing was found');
    const later = await scan(shore.cluster.sink, topic, place);
    expect(later.targets).toEqual(targets.filter((target) => comparePositions(entryOf(target), entryOf(place)) > 0));
    expect([later.offsets.at(-1), later.fromBeginning]).toEqual([99, false]);
    const newest = await scan(shore.cluster.sink, topic, undefined, 1);
    expect([newest.offsets.at(-1), newest.fromBeginning]).toEqual([99, false]);
    expect(newest.offsets.length).toBeLessThanOrEqual(20);
    const behindAll = await scan(shore.cluster.sink, topic, stored.at(-1)?.target);
    expect(behindAll.offsets.filter((offset) => offset < 80)).toEqual([]);
  });

  it('has an end, which is that of its newest record, and none while it is empty', async () => {
    const { topic: empty } = await shore.newTopic();
    expect(await shore.cluster.sink.tail(empty, 0)).toBeUndefined();
    const { topic } = await write(shore);
    const { targets } = await scan(shore.cluster.sink, topic, BEFORE_ALL);
    const tail = await shore.cluster.sink.tail(topic, 0);
    expect(tail).toEqual(entryOf(targets.at(-1) ?? BEFORE_ALL));
    expect((await scan(shore.cluster.sink, topic, tail)).offsets).toEqual([]);
  });
}

function nothing(shore: Shore): void {
  it('is nothing, so that whoever comes after a writer begins with what it last knew', async () => {
    const { topic } = await write(shore);
    expect(await scan(shore.cluster.sink, topic, BEFORE_ALL)).toMatchObject({ offsets: [], entries: 0 });
    expect(await shore.cluster.sink.tail(topic, 0)).toBeUndefined();
  });

  it('is the mark that every message carries, for those who read it', async () => {
    const { topic } = await write(shore);
    const seen = await shore.world.see(topic, 100);
    expect(seen.every(({ properties }) => properties['ISTHMUS']?.startsWith('1;rmq-east;orders;broker-a:0;') === true)).toBe(
      true,
    );
  });
}

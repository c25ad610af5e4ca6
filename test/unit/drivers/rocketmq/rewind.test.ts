import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LaneReader } from '../../../../src/spi/source.ts';
import { FakeBroker } from './fake-broker.ts';
import { describeGap, eventually, type Opened, openCluster, range, readTo } from './kit.ts';
import { STORED } from './stored-message.ts';

/** A queue that loses its end and grows again gives old offsets to new messages: nothing but their identity tells. */
describe('a queue that was truncated or made anew', () => {
  let broker: FakeBroker;
  let opened: Opened;
  let reader: LaneReader;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
    broker.maxPerPull = 10;
    broker.produce(100);
    reader = await opened.open(0);
    await readTo(reader, 99);
  });

  afterEach(async () => {
    await reader.close();
    await opened.cluster.close();
    await broker.close();
  });

  /** What a failover to a replica that lacked the end looks like from outside. */
  function lose(from: number, newMessages: number): void {
    broker.messages = broker.messages.slice(0, from);
    broker.produce(newMessages, (offset) => ({
      body: `new${offset}`,
      storeTime: STORED + 60_000,
      commitLogOffset: offset * 1000 + 7,
    }));
    broker.disconnectAll();
  }

  it('goes on when the last message is still the same', async () => {
    broker.disconnectAll();
    broker.produce(5);
    expect(await readTo(reader, 104)).toEqual({ offsets: range(100, 105), gaps: [] });
    expect(broker.pulls.at(-1)?.offset).toBeGreaterThanOrEqual(99);
  });

  it('is noticed although it has grown past the place where we were, and the gap leads back to where it differs', async () => {
    const waiting = reader.read();
    lose(95, 50);
    const gap = describeGap(await waiting);
    // Remembered are the ends of the batches that were delivered, so the place is found to within one batch.
    expect(gap).toMatch(/^100-9\d truncated$/);
    await expect(reader.read()).rejects.toMatchObject({ code: 'SOURCE_REWOUND', retryable: false });
  });

  it('is noticed when it ends below the place where we were', async () => {
    const waiting = reader.read();
    lose(95, 0);
    await eventually(() => opened.troubles.length >= 3);
    opened.clock.push(10_000);
    expect(describeGap(await waiting)).toMatch(/^100-9\d truncated$/);
  });

  it('counts as recreated when even its oldest message is younger than all that was read', async () => {
    const waiting = reader.read();
    lose(0, 300);
    expect(describeGap(await waiting)).toBe('100-0 recreated');
  });

  it('counts as recreated when it is empty', async () => {
    const waiting = reader.read();
    lose(0, 0);
    await eventually(() => opened.troubles.length >= 3);
    opened.clock.push(10_000);
    expect(describeGap(await waiting)).toBe('100-0 recreated');
  });

  it('is read from the place that the gap names by a reader that is opened there', async () => {
    const waiting = reader.read();
    lose(95, 50);
    const gap = await waiting;
    await reader.close();
    const to = gap.kind === 'gap' ? gap.to.major : -1;
    reader = await opened.open(to);
    expect((await readTo(reader, 144)).offsets).toEqual(range(to, 145));
  });

  it('cannot be compared when the last message has expired, and is read on', async () => {
    broker.produce(20);
    broker.expire(105);
    broker.disconnectAll();
    const { offsets, gaps } = await readTo(reader, 119);
    expect(gaps.length === 0 || gaps[0] === '100-105 expired').toBe(true);
    expect(offsets.at(-1)).toBe(119);
  });
});

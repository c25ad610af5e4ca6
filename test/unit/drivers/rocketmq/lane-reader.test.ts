import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import type { RecordBatch } from '../../../../src/model/record-batch.ts';
import type { LaneReader } from '../../../../src/spi/source.ts';
import { FakeBroker, type Reply } from './fake-broker.ts';
import { describeGap, eventually, type Opened, openCluster, range, readTo } from './kit.ts';
import { batchItem, storedMessage } from './stored-message.ts';

describe('a lane reader', () => {
  let broker: FakeBroker;
  let opened: Opened;
  let reader: LaneReader;

  beforeEach(async () => {
    broker = await new FakeBroker().start();
    opened = openCluster([broker.address]);
  });

  afterEach(async () => {
    await reader.close();
    await opened.cluster.close();
    await broker.close();
    if (opened.budget.usedBytes !== 0)
      throw new Error(`the closed reader still holds ${opened.budget.usedBytes} bytes of the budget`);
  });

  it('delivers every record once and in order over many overlapping pulls', async () => {
    broker.produce(5_000);
    reader = await opened.open(0);
    const { offsets, gaps } = await readTo(reader, 4_999);
    expect(offsets).toEqual(range(0, 5_000));
    expect(gaps).toEqual([]);
  });

  it('begins at the asked position', async () => {
    broker.produce(100);
    reader = await opened.open(70);
    expect((await readTo(reader, 99)).offsets).toEqual(range(70, 100));
  });

  it('delivers in order when answers come back in another order', async () => {
    broker.produce(2_000);
    let turn = 0;
    broker.intercept = (command) => {
      // Each second answer is late, so that the one after it overtakes it.
      broker.delayMillis = command.code === RequestCode.PULL_MESSAGE && turn++ % 2 === 0 ? 4 : 0;
      return undefined;
    };
    reader = await opened.open(0);
    expect((await readTo(reader, 1_999)).offsets).toEqual(range(0, 2_000));
  });

  it('holds exactly one pull at the end of the queue, and none beyond', async () => {
    broker.produce(100);
    reader = await opened.open(0);
    await readTo(reader, 99);
    const waiting = reader.read();
    await eventually(() => broker.pulls.some(({ held, offset }) => held && offset === 100));
    expect(broker.pulls.filter(({ offset }) => offset >= 100)).toHaveLength(1);
    broker.produce(1);
    const delivery = await waiting;
    expect(delivery.kind === 'records' && delivery.batch.positionAt(0).major).toBe(100);
    if (delivery.kind === 'records') delivery.batch.release();
    await eventually(() => broker.pulls.some(({ offset }) => offset === 101));
    expect(broker.pulls.filter(({ offset }) => offset > 101)).toEqual([]);
  });

  it('holds again after the broker has nothing new, and keeps the extent fresh', async () => {
    broker.produce(10);
    reader = await opened.open(10);
    const waiting = reader.read();
    const heldPulls = (): number => broker.pulls.filter(({ held }) => held).length;
    await eventually(() => heldPulls() === 1);
    broker.expire(4);
    broker.releaseHeld();
    await eventually(() => heldPulls() === 2);
    expect(reader.extent()).toMatchObject({ begin: { major: 4 }, end: { major: 10 } });
    broker.produce(1);
    const delivery = await waiting;
    expect(delivery.kind).toBe('records');
    if (delivery.kind === 'records') delivery.batch.release();
  });

  it('asks for the rest of a short answer, and soon for no more than the broker gives', async () => {
    broker.maxPerPull = 8;
    broker.produce(4_000);
    reader = await opened.open(0);
    expect((await readTo(reader, 3_999)).offsets).toEqual(range(0, 4_000));
    const asked = broker.pulls.slice(200).map(({ maxMessages }) => maxMessages);
    const probes = asked.filter((count) => count > 8);
    expect(probes.length).toBeLessThan(asked.length / 8);
  });

  it('learns that a broker gives a thousand messages at a time', async () => {
    broker.maxPerPull = 1_000;
    broker.produce(50_000);
    reader = await opened.open(0);
    expect((await readTo(reader, 49_999)).offsets).toEqual(range(0, 50_000));
    // By messages of 32 it would be 1563 pulls.
    expect(broker.pulls.length).toBeLessThan(300);
  });

  it('keeps more pulls under way when the way is long', async () => {
    broker.delayMillis = 10;
    broker.produce(10_000);
    reader = await opened.open(0);
    expect((await readTo(reader, 9_999)).offsets).toHaveLength(10_000);
    expect(broker.mostUnderWay).toBeGreaterThan(16);
  });

  it('reads nothing ahead of what the byte budget allows, and goes on when bytes are given back', async () => {
    const tight = openCluster([broker.address], 40_000);
    broker.produce(2_000, () => ({ body: 'x'.repeat(500) }));
    reader = await tight.open(0);
    const offsets: number[] = [];
    let most = 0;
    while (offsets.length < 2_000) {
      const delivery = await reader.read();
      // Time for every answer that was asked for to come in.
      await eventually(() => broker.underWay === 0);
      most = Math.max(most, tight.budget.usedBytes);
      if (delivery.kind !== 'records') throw new Error(describeGap(delivery));
      for (let i = 0; i < delivery.batch.count; i++) offsets.push(delivery.batch.positionAt(i).major);
      delivery.batch.release();
    }
    expect(offsets).toEqual(range(0, 2_000));
    expect(most).toBeLessThanOrEqual(40_000 * 1.25);
    await reader.close();
    expect(tight.budget.usedBytes).toBe(0);
    await tight.cluster.close();
  });

  it('goes on by single messages while others keep the whole budget', async () => {
    const tight = openCluster([broker.address], 40_000);
    broker.produce(10);
    tight.budget.tryTake(1_000_000, true);
    reader = await tight.open(0);
    expect((await readTo(reader, 9)).offsets).toEqual(range(0, 10));
    expect(broker.pulls.every(({ maxMessages }) => maxMessages === 1)).toBe(true);
    tight.budget.give(1_000_000);
    await reader.close();
    await tight.cluster.close();
  });

  it('reports records that expired before they were read', async () => {
    broker.produce(100);
    broker.expire(40);
    reader = await opened.open(10);
    expect(describeGap(await reader.read())).toBe('10-40 expired');
    expect((await readTo(reader, 99)).offsets).toEqual(range(40, 100));
  });

  it('reports records that are missing between two of one answer', async () => {
    broker.produce(20);
    broker.messages.splice(5, 3, ...broker.messages.slice(8, 11));
    broker.intercept = undefined;
    reader = await opened.open(0);
    const first = await readTo(reader, 4);
    expect(first.offsets).toEqual(range(0, 5));
    expect(describeGap(await reader.read())).toBe('5-8 expired');
  });

  it('jumps forward when an operator resets its group, and says so', async () => {
    broker.produce(100);
    let done = false;
    broker.intercept = ({ code }) => {
      if (code !== RequestCode.PULL_MESSAGE || done) return undefined;
      done = true;
      return moved('OFFSET_RESET', 60, broker);
    };
    reader = await opened.open(20);
    expect(describeGap(await reader.read())).toBe('20-60 reset');
    expect((await readTo(reader, 99)).offsets).toEqual(range(60, 100));
  });

  it('does not go back when an operator resets its group backwards', async () => {
    broker.produce(100);
    let done = false;
    broker.intercept = ({ code }) => {
      if (code !== RequestCode.PULL_MESSAGE || done) return undefined;
      done = true;
      return moved('OFFSET_RESET', 5, broker);
    };
    reader = await opened.open(20);
    expect(await readTo(reader, 99)).toEqual({ offsets: range(20, 100), gaps: [] });
    expect(opened.troubles[0]?.message).toContain('a reset of our group to 5, behind 20, is ignored');
  });

  it('never uses the memory of an answer again while one of its batches is held', async () => {
    // One stored message with more records than a batch takes: its frame is shared by two batches. The next is of the same size.
    const answer = (offset: number, text: string): Reply => ({
      code: 0,
      remark: 'FOUND',
      fields: offsets(offset + 1_500, 0, 3_000),
      body: storedMessage({ offset, sysFlag: 0xc0, body: Buffer.concat(range(0, 1_500).map((i) => batchItem(`${text}${i}`))) }),
    });
    let pulled = 0;
    broker.intercept = ({ code, fields }) => {
      if (code !== RequestCode.PULL_MESSAGE || ++pulled > 2) return code === RequestCode.PULL_MESSAGE ? 'silence' : undefined;
      return answer(Number(fields['queueOffset']), pulled === 1 ? 'item' : 'ITEM');
    };
    reader = await opened.open(0);
    const first = await nextBatch(reader);
    (await nextBatch(reader)).release();
    const next = await nextBatch(reader);
    expect(next.positionAt(0).major).toBe(1_500);
    expect(range(0, first.count).map((i) => first.body(i).toString())).toEqual(range(0, 1_024).map((i) => `item${i}`));
    first.release();
    next.release();
  });

  it('rejects with CLOSED after it was closed, and what was handed out stays readable', async () => {
    broker.produce(10);
    reader = await opened.open(0);
    const delivery = await reader.read();
    await reader.close();
    await expect(reader.read()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(delivery.kind === 'records' && delivery.batch.body(3).toString()).toBe('m3');
    if (delivery.kind === 'records') delivery.batch.release();
  });

  it('ends a waiting read with CLOSED', async () => {
    reader = await opened.open(0);
    const waiting = reader.read();
    await Promise.all([expect(waiting).rejects.toMatchObject({ code: 'CLOSED' }), reader.close()]);
  });
});

async function nextBatch(reader: LaneReader): Promise<RecordBatch> {
  const delivery = await reader.read();
  if (delivery.kind !== 'records') throw new Error(describeGap(delivery));
  return delivery.batch;
}

function offsets(next: number, min: number, max: number) {
  return [
    ['nextBeginOffset', String(next)],
    ['minOffset', String(min)],
    ['maxOffset', String(max)],
  ] as const;
}

function moved(remark: string, next: number, broker: FakeBroker) {
  return {
    code: ResponseCode.PULL_OFFSET_MOVED,
    remark,
    fields: offsets(next, broker.minOffset, broker.maxOffset),
  };
}

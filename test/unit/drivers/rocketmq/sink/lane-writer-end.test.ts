import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../src/lib/clock.ts';
import type { Sink } from '../../../../../src/spi/sink.ts';
import { numbered, openTestWriter } from '../../../../kit/pulsar-writing.ts';
import { eventually, FastClock, type Opened, openCluster } from '../kit.ts';
import { FakeQueue } from './fake-queue.ts';

const TIMES = 4;
const OTHER_LANE = { lane: { topic: 'orders', lane: 'broker-a:1' } };
let queue: FakeQueue;
let opened: Opened;

beforeEach(async () => {
  queue = await new FakeQueue().start();
  opened = openCluster([queue.broker.address], undefined, undefined, new FastClock(TIMES));
});

afterEach(async () => {
  await opened.cluster.close();
  await queue.broker.close();
});

function sink(): Sink {
  if (opened.cluster.sink === undefined) throw new Error('the driver has no sink');
  return opened.cluster.sink;
}

/** As long as a writer that has ended waits for its last answer, and longer. */
const longEnough = (): Promise<void> => systemClock.sleep(3_000 / TIMES);

describe('a writer that ends with a request under way', () => {
  // The lane may be another process's soon, which looks at the queue once: what arrives after that is there twice.
  it('takes it back when nobody answers, so that it cannot arrive at any later time', async () => {
    const writer = await openTestWriter(sink(), 'T1');
    await writer.write(numbered(0, 5));
    await writer.until(5);
    const { connections } = queue.broker;
    queue.broker.reads(false);
    // More than the buffer of an end that reads nothing takes in.
    await writer.write(numbered(5, 10, 16, 200_000), 5);
    await writer.writer.close(0);
    await longEnough();
    queue.broker.reads(true);
    await eventually(() => queue.broker.connections === connections - 1);
    expect(queue.sends).toEqual([5]);
    expect(queue.bodies).toHaveLength(5);
  });

  it('leaves other lanes their connection when its broker answers', async () => {
    const [first, second] = [await openTestWriter(sink(), 'T1'), await openTestWriter(sink(), 'T1', OTHER_LANE)];
    await first.write(numbered(0, 5));
    await first.until(5);
    const answers: (() => void)[] = [];
    queue.broker.reorder = (answer) => void answers.push(answer);
    await first.write(numbered(5, 10));
    await eventually(() => answers.length === 1);
    await first.writer.close(0);
    queue.broker.reorder = undefined;
    answers[0]?.();
    await longEnough();
    const { connections } = queue.broker;
    await second.write(numbered(10, 15));
    await second.until(5);
    expect([queue.broker.connections, second.troubles]).toEqual([connections, []]);
    expect(opened.log.filter(({ event }) => event === 'writer-in-doubt')).toEqual([]);
  });

  it('costs other lanes of a broker that does not answer a look at their queue', async () => {
    const [first, second] = [await openTestWriter(sink(), 'T1'), await openTestWriter(sink(), 'T1', OTHER_LANE)];
    await first.write(numbered(0, 5));
    await first.until(5);
    await second.write(numbered(10, 15));
    await second.until(5);
    queue.fate = (sent) => (sent < 4 ? { answer: 'silence' } : undefined);
    await first.write(numbered(5, 10));
    await second.write(numbered(15, 20));
    await eventually(() => queue.sends.length === 4);
    await first.writer.close(0);
    await second.until(10);
    await second.write(numbered(20, 25));
    await second.until(15);
    expect(second.failures).toEqual([]);
    expect(opened.log.filter(({ event }) => event === 'tail-read').map(({ fields }) => fields?.['found'])).toEqual([5]);
    expect(queue.bodies).toHaveLength(25);
  });
});

import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { numbered, openTestWriter } from '../../../../kit/pulsar-writing.ts';
import { eventually } from '../kit.ts';
import { TIMES, useQueue } from './queue-scene.ts';

const OTHER_LANE = { lane: { topic: 'orders', lane: 'broker-a:1' } };
const scene = useQueue();

/** As long as a writer that has ended waits for its last answer, and longer. */
const longEnough = (): Promise<void> => systemClock.sleep(3_000 / TIMES);

describe('a writer that ends with a request under way', () => {
  // The lane may be another process's soon, which looks at the queue once: what arrives after that is there twice.
  it('takes it back when nobody answers, so that it cannot arrive at any later time', async () => {
    const writer = await openTestWriter(scene.sink, 'T1');
    await writer.write(numbered(0, 5));
    await writer.until(5);
    const { connections } = scene.queue.broker;
    scene.queue.broker.reads(false);
    // More than the buffer of an end that reads nothing takes in.
    await writer.write(numbered(5, 10, 16, 200_000), 5);
    await writer.writer.close(0);
    await longEnough();
    scene.queue.broker.reads(true);
    await eventually(() => scene.queue.broker.connections === connections - 1);
    expect(scene.queue.sends).toEqual([5]);
    expect(scene.queue.bodies).toHaveLength(5);
  });

  it('leaves other lanes their connection when its broker answers', async () => {
    const [first, second] = [await openTestWriter(scene.sink, 'T1'), await openTestWriter(scene.sink, 'T1', OTHER_LANE)];
    await first.write(numbered(0, 5));
    await first.until(5);
    const answers: (() => void)[] = [];
    scene.queue.broker.reorder = (answer) => void answers.push(answer);
    await first.write(numbered(5, 10));
    await eventually(() => answers.length === 1);
    await first.writer.close(0);
    scene.queue.broker.reorder = undefined;
    answers[0]?.();
    await longEnough();
    const { connections } = scene.queue.broker;
    await second.write(numbered(10, 15));
    await second.until(5);
    expect([scene.queue.broker.connections, second.troubles]).toEqual([connections, []]);
    expect(scene.opened.log.filter(({ event }) => event === 'writer-in-doubt')).toEqual([]);
  });

  it('costs other lanes of a broker that does not answer a look at their queue', async () => {
    const [first, second] = [await openTestWriter(scene.sink, 'T1'), await openTestWriter(scene.sink, 'T1', OTHER_LANE)];
    await first.write(numbered(0, 5));
    await first.until(5);
    await second.write(numbered(10, 15));
    await second.until(5);
    scene.queue.fate = (sent) => (sent < 4 ? { answer: 'silence' } : undefined);
    await first.write(numbered(5, 10));
    await second.write(numbered(15, 20));
    await eventually(() => scene.queue.sends.length === 4);
    await first.writer.close(0);
    await second.until(10);
    await second.write(numbered(20, 25));
    await second.until(15);
    expect(second.failures).toEqual([]);
    expect(scene.opened.log.filter(({ event }) => event === 'tail-read').map(({ fields }) => fields?.['found'])).toEqual([5]);
    expect(scene.queue.bodies).toHaveLength(25);
  });
});

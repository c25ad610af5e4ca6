import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { openTestWriter, type TestRecord, type TestWriter } from '../../../../kit/pulsar-writing.ts';
import { eventually, FastClock, type Opened, openCluster, sinkOf } from '../kit.ts';
import { FakeQueue } from './fake-queue.ts';

/** A route is believed for so long. */
const ROUTE_MILLIS = 31_000;

/** Both in one: the name server, and the queue's first master. */
let queue: FakeQueue;
let replica: FakeQueue;
let opened: Opened;

beforeEach(async () => {
  [queue, replica] = [await new FakeQueue().start(), await new FakeQueue().start()];
  opened = openCluster([queue.broker.address], undefined, undefined, new FastClock(4));
});

afterEach(async () => {
  await opened.cluster.close();
  await Promise.all([queue.broker.close(), replica.broker.close()]);
});

const records = (from: number, end: number): TestRecord[] =>
  Array.from({ length: end - from }, (_, k) => ({ offset: from + k, body: `m${from + k}` }));
const bodies = (end: number): string[] => Array.from({ length: end }, (_, k) => `m${k}`);

async function writerOfTen(): Promise<TestWriter> {
  const writer = await openTestWriter(sinkOf(opened), 'T1');
  await writer.write(records(0, 10));
  await writer.until(10);
  return writer;
}

/** The replica becomes master with so many of the messages. */
function takeOver(messages: number): void {
  replica.broker.messages = queue.broker.messages.slice(0, messages);
  queue.broker.addresses = { 0: replica.broker.address, 1: queue.broker.address };
}

describe('a writer whose queue gets another master', () => {
  it('writes to that one, behind what it has', async () => {
    const writer = await writerOfTen();
    takeOver(10);
    opened.clock.push(ROUTE_MILLIS);
    await writer.write(records(10, 11));
    // That one still went by the old route, which was asked for anew meanwhile.
    await writer.until(11);
    replica.broker.messages = [...queue.broker.messages];
    await writer.write(records(11, 20));
    await writer.until(20);
    expect(replica.bodies).toEqual(bodies(20));
    expect(queue.bodies).toEqual(bodies(11));
  });

  // 2: requests are rejected; 14: a replica; 16: no permission to write; 501: not the leader.
  it.each([2, 14, 16, 501])(
    'goes to it when the old one says by %i that it is none any more, and sends again what that one has not taken',
    async (code) => {
      const writer = await writerOfTen();
      queue.fate = () => ({ store: 0, answer: { code, remark: 'not the master' } });
      takeOver(10);
      await writer.write(records(10, 20));
      await writer.until(20);
      expect([queue.bodies, replica.bodies]).toEqual([bodies(10), bodies(20)]);
    },
  );

  it.each([
    ['has taken', 15],
    ['has not taken', 10],
  ])('looks at what it %s when the old one dies with a request under way', async (_, replicated) => {
    const writer = await writerOfTen();
    queue.fate = () => ({ store: 5, answer: 'silence' });
    await writer.write(records(10, 20));
    await eventually(() => queue.sends.length === 2);
    takeOver(replicated);
    queue.broker.disconnectAll();
    await writer.until(20);
    expect(replica.bodies).toEqual(bodies(20));
  });

  it.each([
    [
      'another master',
      () => {
        takeOver(7);
        queue.fate = () => ({ store: 0, answer: { code: 501, remark: 'not leader' } });
      },
    ],
    [
      'its broker, started again,',
      () => {
        queue.broker.messages.splice(7);
        queue.broker.disconnectAll();
      },
    ],
  ])(
    'gives up with nothing under way, so that all of the queue is looked at, when %s lacks what was confirmed',
    async (_, happens) => {
      const writer = await writerOfTen();
      happens();
      // The end of a connection has to be noticed.
      await systemClock.sleep(50);
      await writer.write(records(10, 11)).catch(() => undefined);
      await eventually(() => writer.failures.length > 0);
      expect(writer.failures).toMatchObject([{ code: 'UNKNOWN_OUTCOME', retryable: true }]);
      expect([...replica.bodies, ...queue.bodies]).not.toContain('m10');
    },
  );

  it('waits while there is none, and says so', async () => {
    const writer = await writerOfTen();
    queue.broker.addresses = { 1: queue.broker.address };
    queue.broker.disconnectAll();
    await writer.write(records(10, 11));
    await eventually(() => writer.troubles.some((trouble) => trouble.includes('no master')));
    expect(queue.sends).toEqual([10]);
    queue.broker.addresses = { 0: queue.broker.address };
    await writer.until(11);
    expect(queue.bodies).toEqual(bodies(11));
  });
});

describe('a writer whose topic becomes read-only', () => {
  it('sends nothing from when the route says so, tells why, and goes on when it may', async () => {
    const writer = await writerOfTen();
    queue.permission = 4;
    opened.clock.push(ROUTE_MILLIS);
    await writer.write(records(10, 11));
    await writer.until(11);
    await writer.write(records(11, 12));
    await eventually(() => writer.troubles.some((trouble) => trouble.includes('read-only')));
    expect(queue.bodies).toEqual(bodies(11));
    queue.permission = 6;
    await writer.until(12);
    expect(queue.bodies).toEqual(bodies(12));
    expect(writer.failures).toEqual([]);
  });
});

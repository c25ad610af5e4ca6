import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../src/lib/clock.ts';
import {
  batchOf,
  numbered,
  offsetsIn,
  openTestWriter,
  type TestRecord,
  type TestWriter,
} from '../../../../kit/pulsar-writing.ts';
import { eventually, FastClock, type Opened, openCluster, sinkOf } from '../kit.ts';
import { FakeQueue } from './fake-queue.ts';

let queue: FakeQueue;
let cluster: Opened['cluster'];
let opened: Opened;

/** Settling takes seconds by the clock. */
const openFast = (): Opened => openCluster([queue.broker.address], undefined, undefined, new FastClock(4));

async function open(): Promise<TestWriter> {
  queue = await new FakeQueue().start();
  opened = openFast();
  cluster = opened.cluster;
  return openTestWriter(sinkOf(opened), 'T1');
}

afterEach(async () => {
  await cluster.close();
  await queue.broker.close();
});

const records = (from: number, end: number): TestRecord[] =>
  Array.from({ length: end - from }, (_, k) => ({ offset: from + k, body: `m${from + k}` }));
const bodies = (end: number): string[] => Array.from({ length: end }, (_, k) => `m${k}`);
const runsOf = ({ stored }: TestWriter): string[] =>
  stored.map(({ runs, target }) => `${runs.map(({ first, count }) => `${first.major}+${count}`).join(',')}@${target.major}`);

describe('a writer into a queue', () => {
  it('sends nothing before everything that was sent earlier is settled', async () => {
    const writer = await open();
    queue.fate = () => {
      expect(queue.probes).toBeGreaterThan(3);
      return undefined;
    };
    await writer.write(records(0, 10));
    expect(queue.sends).toEqual([]);
    await writer.until(10);
    expect(runsOf(writer)).toEqual(['0+10@0']);
    expect(queue.bodies).toEqual(bodies(10));
  });

  it('sends nothing any more, and gives up, when its lease has run out', async () => {
    queue = await new FakeQueue().start();
    opened = openFast();
    cluster = opened.cluster;
    let mayWrite = true;
    const writer = await openTestWriter(sinkOf(opened), 'T1', { mayWrite: () => mayWrite });
    await writer.write(records(0, 3));
    await writer.until(3);
    mayWrite = false;
    await writer.write(records(3, 5)).catch(() => undefined);
    await eventually(() => writer.failures.length === 1);
    expect(writer.failures[0]?.code).toBe('OTHER_WRITER');
    expect(queue.bodies).toEqual(bodies(3));
  });

  it('has one request under way at a time, and sends what came meanwhile together', async () => {
    const writer = await open();
    await writer.write(records(0, 1));
    await writer.until(1);
    const answers: (() => void)[] = [];
    queue.broker.reorder = (send) => void answers.push(send);
    await writer.write(records(1, 50), 1);
    await eventually(() => queue.sends.length === 2);
    expect(writer.writer.inFlight).toBe(1);
    expect(writer.writer.open()).toBe(48);
    queue.broker.reorder = undefined;
    answers.shift()?.();
    await writer.until(50);
    expect(queue.sends).toEqual([1, 1, 48]);
    expect(queue.bodies).toEqual(bodies(50));
  });

  it('never puts more than 4096 messages into a batch, nor bytes beyond the limit of the broker', async () => {
    const writer = await open();
    const answers: (() => void)[] = [];
    await writer.write(records(0, 1));
    await writer.until(1);
    queue.broker.reorder = (send) => void answers.push(send);
    await writer.write(records(1, 2));
    await eventually(() => answers.length === 1);
    const rest = batchOf(records(2, 8_000));
    let taken = 0;
    while (taken < 7_998 && writer.writer.append(rest, taken) === 'taken') taken++;
    queue.broker.reorder = undefined;
    answers.shift()?.();
    while (taken < 7_998) {
      if (writer.writer.append(rest, taken) === 'taken') taken++;
      else await writer.writer.ready();
    }
    writer.writer.flush();
    await writer.until(8_000);
    expect(Math.max(...queue.sends)).toBeLessThanOrEqual(4_096);
    expect(Math.max(...queue.sends)).toBeGreaterThan(1_000);
    expect(queue.bodies).toEqual(bodies(8_000));
  });

  it('keeps to the limit that its broker is configured with', async () => {
    queue = await new FakeQueue().start();
    queue.settings = 'a=b\nmaxMessageSize=20000\nz=1\n';
    opened = openFast();
    cluster = opened.cluster;
    const writer = await openTestWriter(sinkOf(opened), 'T1');
    await writer.write(numbered(0, 400, 16, 500));
    await writer.until(400);
    expect(Math.max(...queue.sends)).toBeLessThan(40);
    const large = batchOf([{ offset: 400, body: Buffer.alloc(20_001) }]);
    expect(writer.writer.append(large, 0)).toMatchObject({ refused: expect.stringContaining('20001') });
  });

  it('sends a record alone that is too large for a batch, as a message on which the broker does not act', async () => {
    const writer = await open();
    const body = Buffer.alloc(4 * 2 ** 20 - 100, 1);
    await writer.write([
      { offset: 0, body: 'm0' },
      {
        offset: 1,
        body,
        properties: [
          ['DELAY', '3'],
          ['TIMER_DELAY_MS', '9'],
          ['a', 'b'],
        ],
        extras: [['ROCKETMQ_FLAG', '7']],
      },
      { offset: 2, body: 'm2' },
    ]);
    await writer.until(3);
    expect(queue.headers.map(({ m }) => m)).toEqual(['true', 'false', 'true']);
    expect(queue.headers[1]).toMatchObject({ h: '7', e: '0' });
    expect(queue.headers[1]?.['i']?.replaceAll('\u0001', '=').split('\u0002').slice(0, 1)).toEqual(['a=b']);
    expect(queue.headers[1]?.['i']).not.toContain('TIMER');
  });
});

describe('an answer', () => {
  it.each([10, 11, 12])('of code %i counts as stored, and is said once', async (code) => {
    const writer = await open();
    queue.fate = (sent) => ({ answer: { code, remark: 'late', fields: [['queueOffset', String(sent * 5)]] } });
    await writer.write(records(0, 10), 5);
    await writer.until(10);
    expect(queue.bodies).toEqual(bodies(10));
    expect(opened.log.filter(({ event }) => event === 'stored-without-confirmation')).toHaveLength(1);
  });

  it.each([0, 10, 11, 12])('of code %i that does not say where it was stored is a doubt: the queue tells', async (code) => {
    const writer = await open();
    queue.fate = (sent) => (sent === 0 ? { answer: { code, remark: 'late' } } : undefined);
    await writer.write(records(0, 10));
    await writer.until(10);
    expect(queue.bodies).toEqual(bodies(10));
    expect(runsOf(writer)).toEqual(['0+10@0']);
  });

  it('that the broker is busy is followed by another try, and said until something is stored', async () => {
    const writer = await open();
    queue.fate = (sent) => (sent < 3 ? { store: 0, answer: { code: 2, remark: '[TIMEOUT_CLEAN_QUEUE]' } } : undefined);
    await writer.write(records(0, 10));
    await writer.until(10);
    expect(queue.bodies).toEqual(bodies(10));
    expect(writer.troubles).toHaveLength(3);
    expect(writer.failures).toEqual([]);
  });

  it('that ends a trouble is heard by whoever writes on at once, and nothing goes out twice', async () => {
    queue = await new FakeQueue().start();
    opened = openFast();
    cluster = opened.cluster;
    let next = 10;
    const writer: TestWriter = await openTestWriter(sinkOf(opened), 'T1', {
      onTrouble: (error) => {
        if (error !== undefined || next === 11) return;
        expect(writer.writer.append(batchOf(records(next, next + 1)), 0)).toBe('taken');
        next++;
        writer.writer.flush();
      },
    });
    queue.fate = (sent) => (sent === 0 ? { store: 0, answer: { code: 2, remark: 'busy' } } : undefined);
    await writer.write(records(0, 10));
    await writer.until(11);
    await eventually(() => queue.bodies.length >= next);
    expect(queue.bodies).toEqual(bodies(next));
  });

  it.each([
    ['nothing', 0, ['0+10@0']],
    ['the beginning', 4, ['0+4@0', '4+6@4']],
    ['all', 10, ['0+10@0']],
  ])('that says nothing is settled by a look at the queue, when %s of the batch is there', async (_, store, runs) => {
    const writer = await open();
    queue.fate = (sent) => (sent === 0 ? { store, answer: { code: 1, remark: 'java.lang.RuntimeException' } } : undefined);
    await writer.write(records(0, 10));
    await writer.until(10);
    expect(queue.bodies).toEqual(bodies(10));
    expect(runsOf(writer)).toEqual(runs);
  });

  it('that never comes because the connection ends is settled alike, and what came meanwhile follows', async () => {
    const writer = await open();
    queue.fate = (sent) => (sent % 3 === 1 ? { store: 3, answer: 'disconnect' } : undefined);
    await writer.write(records(0, 60), 10);
    await writer.until(60);
    expect(queue.bodies).toEqual(bodies(60));
  });

  it('that the topic is gone ends the writer', async () => {
    const writer = await open();
    queue.fate = () => ({ store: 0, answer: { code: 17 } });
    await writer.write(records(0, 1));
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'TOPIC_NOT_FOUND', retryable: true }]);
    await expect(writer.writer.ready()).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });
});

describe('a writer in doubt', () => {
  it('takes messages of others in between for what they are', async () => {
    const writer = await open();
    queue.fate = (sent) => {
      if (sent > 0) return undefined;
      queue.broker.produce(3, () => ({ body: 'theirs', properties: { ISTHMUS: '1;elsewhere;orders;broker-a:0;0;0' } }));
      return { store: 2, answer: 'disconnect' };
    };
    await writer.write(records(0, 5));
    await writer.until(5);
    expect(queue.bodies).toEqual(['theirs', 'theirs', 'theirs', ...bodies(5)]);
  });

  it('gives up when another process has written its lane', async () => {
    const writer = await open();
    await writer.write(records(0, 5));
    await writer.until(5);
    queue.fate = (sent) => {
      if (sent > 1) return undefined;
      queue.broker.produce(1, () => ({ properties: { ISTHMUS: '1;rmq-east;orders;broker-a:0;5;0' } }));
      queue.broker.produce(1, () => ({ properties: { ISTHMUS: '1;rmq-east;orders;broker-a:0;6;0' } }));
      return { store: 0, answer: 'disconnect' };
    };
    await writer.write(records(5, 6));
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'OTHER_WRITER' }]);
  });

  it('gives up when the queue has lost what it had confirmed', async () => {
    const writer = await open();
    await writer.write(records(0, 5));
    await writer.until(5);
    queue.fate = () => {
      queue.broker.messages.splice(2);
      return { store: 0, answer: 'disconnect' };
    };
    await writer.write(records(5, 6));
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'UNKNOWN_OUTCOME', retryable: true }]);
  });

  it('waits for as long as the broker turns sends away', async () => {
    const writer = await open();
    await writer.write(records(0, 5));
    await writer.until(5);
    queue.fate = (sent) => (sent === 1 ? { answer: 'disconnect' } : undefined);
    queue.probe = { code: 2, remark: '[REJECTREQUEST]' };
    await writer.write(records(5, 6));
    await eventually(() => writer.troubles.some((trouble) => trouble.includes('REJECTREQUEST')));
    expect(queue.sends).toEqual([5, 1]);
    queue.probe = { code: 29 };
    await writer.until(6);
    expect(queue.bodies).toEqual(bodies(6));
  });

  it('gives a broker that stood still its time from when it goes on, as it may answer first and store what it holds then', async () => {
    const writer = await open();
    await writer.write(records(0, 5));
    await writer.until(5);
    const held: (() => void)[] = [];
    queue.fate = (sent) => (sent === 1 ? { answer: 'silence', hold: (store) => void held.push(store) } : undefined);
    await writer.write(records(5, 6));
    await eventually(() => held.length === 1);
    const [store] = held;
    const probes = queue.probes;
    const answers: (() => void)[] = [];
    queue.broker.reorder = (answer) => void (queue.probes > probes ? answers.push(answer) : answer());
    opened.clock.push(16_000);
    await eventually(() => answers.length === 1);
    // The probe has waited for longer than a broker has to be quiet.
    opened.clock.push(3_000);
    queue.broker.reorder = undefined;
    answers[0]?.();
    await systemClock.sleep(50);
    store?.();
    await writer.until(6);
    await writer.write(records(6, 7));
    await writer.until(7);
    expect(queue.bodies).toEqual(bodies(7));
  });
});

describe('a look at the marks', () => {
  it('begins anew where the queue is shorter than it was: it was made again', async () => {
    const writer = await open();
    await writer.write(records(0, 40));
    await writer.until(40);
    const found: number[] = [];
    const report = await sinkOf(opened).scan('T1', 0, { major: 500, minor: -1, index: -1 }, 0, (mark) =>
      found.push(mark.target.major),
    );
    expect(report).toEqual({ entries: 40, fromBeginning: true });
    expect(found).toHaveLength(40);
  });

  it('sees what is left where the oldest messages have expired', async () => {
    const writer = await open();
    await writer.write(records(0, 40));
    await writer.until(40);
    queue.broker.expire(30);
    expect([...(await offsetsIn(sinkOf(opened), 'T1')).keys()]).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39]);
  });

  it('finds nothing in a queue without messages', async () => {
    await open();
    expect(await sinkOf(opened).scan('T1', 0, undefined, 100, () => undefined)).toEqual({ entries: 0, fromBeginning: true });
    expect(await sinkOf(opened).tail('T1', 0)).toBeUndefined();
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeadLetter, Sink } from '../../../../../src/spi/sink.ts';
import { batchOf, openTestWriter } from '../../../../kit/pulsar-writing.ts';
import { eventually, FastClock, type Opened, openCluster } from '../kit.ts';
import { FakeQueue, type Fate } from './fake-queue.ts';

const REFUSED_BATCH = 'java.lang.RuntimeException: message body size exceeded, msg body size: 300150, maxMessageSize: 200000';

let queue: FakeQueue;
let opened: Opened;

beforeEach(async () => {
  queue = await new FakeQueue().start();
  opened = openCluster([queue.broker.address], undefined, undefined, new FastClock(4));
});
afterEach(async () => {
  await opened.cluster.close();
  await queue.broker.close();
});

function sink(): Sink {
  if (opened.cluster.sink === undefined) throw new Error('the driver has no sink');
  return opened.cluster.sink;
}

const refused = (remark: string, code = 1): Fate => ({ store: 0, answer: { code, remark } });
const large = { offset: 1, body: Buffer.alloc(300_000, 1) };

/** One record is stored, so that the broker's limit is known; then the next one is refused. */
async function writesOne(): Promise<Awaited<ReturnType<typeof openTestWriter>>> {
  const writer = await openTestWriter(sink(), 'T1');
  await writer.write([{ offset: 0, body: 'm0' }]);
  await writer.until(1);
  queue.fate = () => refused(REFUSED_BATCH);
  return writer;
}

describe('a writer whose broker takes only smaller messages than before', () => {
  it('ends in such a way that its lane reads again, and the next one refuses the record itself', async () => {
    const writer = await writesOne();
    queue.settings = 'maxMessageSize=200000\n';
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED', retryable: true }]);
    expect(writer.failures[0]?.message).toContain('200000');
    queue.fate = undefined;
    const next = await openTestWriter(sink(), 'T1');
    expect(next.writer.append(batchOf([large]), 0)).toEqual({ refused: 'its body has 300000 bytes, T1 takes 200000' });
    await next.write([{ offset: 2, body: 'm2' }]);
    await next.until(1);
    expect(queue.bodies).toEqual(['m0', 'm2']);
  });

  it('goes by what it said with the refusal, where its settings are not for us to read', async () => {
    queue.settings = '';
    const writer = await writesOne();
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED' }]);
    queue.fate = undefined;
    const next = await openTestWriter(sink(), 'T1');
    expect(next.writer.append(batchOf([large]), 0)).toEqual({ refused: 'its body has 300000 bytes, T1 takes 200000' });
  });

  it('sends nothing of what is too large now, after it was started again', async () => {
    const writer = await writesOne();
    queue.fate = () => ({ store: 0, answer: 'disconnect' });
    queue.settings = 'maxMessageSize=200000\n';
    opened.clock.push(301_000);
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED' }]);
    expect(queue.sends).toEqual([1, 1]);
  });

  it('stops with what the broker says, when that is no matter of its limit: else it would be tried without end', async () => {
    const writer = await writesOne();
    queue.fate = () => refused('the message is illegal, maybe msg body or properties length not matched.', 13);
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'BROKER_REFUSED', retryable: false }]);
    expect(writer.failures[0]?.message).toContain('the message is illegal');
  });
});

describe('a dead letter for such a broker', () => {
  it('comes in pieces as small as the broker takes them now', async () => {
    const letter: DeadLetter = {
      topic: 'T1',
      retentionMinutes: undefined,
      reason: 'it is too large',
      sourceCluster: 'pulsar-east',
      lane: { topic: 'orders', lane: '0' },
      batch: batchOf([large]),
      i: 0,
    };
    await sink().writeDeadLetter({ ...letter, batch: batchOf([{ offset: 0, body: 'small' }]) });
    queue.settings = 'maxMessageSize=200000\n';
    queue.fate = (sent) => (sent === 1 ? refused(REFUSED_BATCH) : undefined);
    await sink().writeDeadLetter(letter);
    expect(queue.broker.messages.map(({ body }) => Buffer.from(body ?? '').length)).toEqual([5, 159_040, 140_960]);
  });
});

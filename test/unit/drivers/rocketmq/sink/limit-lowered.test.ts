import { describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../../../../src/spi/sink.ts';
import { batchOf, openTestWriter } from '../../../../kit/pulsar-writing.ts';
import { eventually } from '../kit.ts';
import type { Fate } from './fake-queue.ts';
import { useQueue } from './queue-scene.ts';

const REFUSED_BATCH = 'java.lang.RuntimeException: message body size exceeded, msg body size: 300150, maxMessageSize: 200000';

const scene = useQueue();

const refused = (remark: string, code = 1): Fate => ({ store: 0, answer: { code, remark } });
const large = { offset: 1, body: Buffer.alloc(300_000, 1) };

/** One record is stored, so that the broker's limit is known; then the next one is refused. */
async function writesOne(): Promise<Awaited<ReturnType<typeof openTestWriter>>> {
  const writer = await openTestWriter(scene.sink, 'T1');
  await writer.write([{ offset: 0, body: 'm0' }]);
  await writer.until(1);
  scene.queue.fate = () => refused(REFUSED_BATCH);
  return writer;
}

describe('a writer whose broker takes only smaller messages than before', () => {
  it('ends in such a way that its lane reads again, and the next one refuses the record itself', async () => {
    const writer = await writesOne();
    scene.queue.settings = 'maxMessageSize=200000\n';
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED', retryable: true }]);
    expect(writer.failures[0]?.message).toContain('200000');
    scene.queue.fate = undefined;
    const next = await openTestWriter(scene.sink, 'T1');
    expect(next.writer.append(batchOf([large]), 0)).toEqual({ refused: 'its body has 300000 bytes, T1 takes 200000' });
    await next.write([{ offset: 2, body: 'm2' }]);
    await next.until(1);
    expect(scene.queue.bodies).toEqual(['m0', 'm2']);
  });

  it('goes by what it said with the refusal, where its settings are not for us to read', async () => {
    scene.queue.settings = '';
    const writer = await writesOne();
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED' }]);
    scene.queue.fate = undefined;
    const next = await openTestWriter(scene.sink, 'T1');
    expect(next.writer.append(batchOf([large]), 0)).toEqual({ refused: 'its body has 300000 bytes, T1 takes 200000' });
  });

  it('sends nothing of what is too large now, after it was started again', async () => {
    const writer = await writesOne();
    scene.queue.fate = () => ({ store: 0, answer: 'disconnect' });
    scene.queue.settings = 'maxMessageSize=200000\n';
    scene.opened.clock.push(301_000);
    await writer.write([large]);
    await eventually(() => writer.failures.length > 0);
    expect(writer.failures).toMatchObject([{ code: 'LIMIT_LOWERED' }]);
    expect(scene.queue.sends).toEqual([1, 1]);
  });

  it('stops with what the broker says, when that is no matter of its limit: else it would be tried without end', async () => {
    const writer = await writesOne();
    scene.queue.fate = () => refused('the message is illegal, maybe msg body or properties length not matched.', 13);
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
    await scene.sink.writeDeadLetter({ ...letter, batch: batchOf([{ offset: 0, body: 'small' }]) });
    scene.queue.settings = 'maxMessageSize=200000\n';
    scene.queue.fate = (sent) => (sent === 1 ? refused(REFUSED_BATCH) : undefined);
    await scene.sink.writeDeadLetter(letter);
    expect(scene.queue.broker.messages.map(({ body }) => Buffer.from(body ?? '').length)).toEqual([5, 159_040, 140_960]);
  });
});

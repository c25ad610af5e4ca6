import { describe, expect, it } from 'vitest';
import { MessageDecoder } from '../../../../../src/drivers/rocketmq/message/decode.ts';
import { transformBy } from '../../../../../src/mirror/stages/transform.ts';
import { DEAD_LETTER_PREFIX } from '../../../../../src/model/dead-letter.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { RecordBatch } from '../../../../../src/model/record-batch.ts';
import type { DeadLetter } from '../../../../../src/spi/sink.ts';
import { batchOf, openTestWriter, type TestRecord } from '../../../../kit/pulsar-writing.ts';
import { type StoredMessage, storedMessage } from '../stored-message.ts';
import { useQueue } from './queue-scene.ts';

const scene = useQueue();

const PULSAR = { sourceCluster: 'pulsar-east', lane: { topic: 'orders', lane: '0' } };
const ROCKETMQ = { sourceCluster: 'rmq-east', lane: { topic: 'orders', lane: 'broker-a:0' } };

function letterOf(batch: RecordBatch, origin: Pick<DeadLetter, 'sourceCluster' | 'lane'>): DeadLetter {
  return { topic: 'T1', retentionMinutes: undefined, reason: 'no reason', ...origin, batch, i: 0 };
}

/** The newest message of the queue, as it was stored. */
function newest(): { readonly stored: StoredMessage; readonly properties: readonly (readonly string[])[] } {
  const stored = scene.queue.broker.messages.at(-1);
  if (stored === undefined) throw new Error('nothing is stored');
  const text = typeof stored.properties === 'string' ? stored.properties : '';
  return {
    stored,
    properties: text
      .split('\u0002')
      .slice(0, -1)
      .map((each) => each.split('\u0001')),
  };
}

function read(message: StoredMessage): RecordBatch {
  const batch = new RecordBatch(8);
  new MessageDecoder(plainMarks).decode(storedMessage({ ...message, offset: 0 }), 0, 0, 8, batch);
  return batch;
}

/** What a mirror stores of a record, without its mark. */
async function mirrored(batch: RecordBatch, origin: Pick<DeadLetter, 'sourceCluster' | 'lane'>): Promise<unknown> {
  const writer = await openTestWriter(scene.sink, 'T1', origin);
  writer.writer.append(batch, 0);
  writer.writer.flush();
  await writer.until(1);
  await writer.writer.close(0);
  const { stored, properties } = newest();
  const { body, flag, bornTime } = stored;
  return {
    body,
    flag,
    bornTime,
    properties: properties
      .filter(([name]) => name !== 'ISTHMUS')
      .map((pair) => pair.join('='))
      .toSorted((a, b) => a.localeCompare(b)),
  };
}

/** As a replay does it: the letter is read, its own properties are dropped, and the rest is written. */
async function replayed(): Promise<unknown> {
  const batch = read(newest().stored);
  transformBy({ drop: [`${DEAD_LETTER_PREFIX}*`], rename: {}, set: {} })?.(batch, []);
  batch.marks = new Map([[0, batch.text(batch.provenanceStart[0], batch.provenanceEnd[0]) ?? '']]);
  return await mirrored(batch, { sourceCluster: 'rmq-west', lane: { topic: 'orders-dead-letter', lane: 'broker-a:0' } });
}

const RECORD: TestRecord = {
  offset: 0,
  position: { major: 812, minor: 45, index: 3 },
  body: 'from a Pulsar',
  key: 'a2V5',
  keyIsBase64: true,
  orderingKey: Buffer.from('order'),
  sequence: 17,
  schemaVersion: Buffer.from([0, 1]),
  eventTime: 1_700_000_000_000,
  properties: [
    ['TRAN_MSG', 'true'],
    ['PGROUP', 'mine'],
    ['INNER_NUM', '2'],
    ['CLUSTER', 'theirs'],
    ['PULSAR_ORDERING_KEY', 'an application’s'],
    ['own', 'value'],
    ['empty', ''],
    ['ROCKETMQ_FLAG', '7'],
  ],
};

describe('a dead letter in a RocketMQ', () => {
  it('has no property by which RocketMQ would take it for something else', async () => {
    await scene.sink.writeDeadLetter(letterOf(batchOf([RECORD]), PULSAR));
    const names = newest().properties.map(([name]) => name ?? '');
    for (const name of ['TRAN_MSG', 'PGROUP', 'INNER_NUM', 'CLUSTER']) expect(names).not.toContain(name);
    expect(newest().properties).toContainEqual(['PULSAR_TRAN_MSG', 'true']);
    expect(newest().properties).toContainEqual([`${DEAD_LETTER_PREFIX}REASON`, 'no reason']);
    expect(names.filter((name) => name === 'ISTHMUS')).toHaveLength(1);
  });

  it('becomes by a replay what the mirror itself would have written of a record of a Pulsar', async () => {
    const wanted = await mirrored(batchOf([RECORD]), PULSAR);
    await scene.sink.writeDeadLetter(letterOf(batchOf([RECORD]), PULSAR));
    expect(await replayed()).toEqual(wanted);
  });

  it('becomes by a replay what the mirror itself would have written of a message of a RocketMQ', async () => {
    const message: Partial<StoredMessage> = {
      body: 'from a RocketMQ',
      flag: 9,
      properties:
        'KEYS\u0001a b\u0002TRAN_MSG\u0001true\u0002UNIQ_KEY\u0001C0A8\u0002TIMER_DELAY_MS\u00019\u0002PULSAR_CLUSTER\u0001own\u0002',
    };
    const native = (): RecordBatch => read({ ...message, offset: 0 });
    const wanted = await mirrored(native(), ROCKETMQ);
    await scene.sink.writeDeadLetter(letterOf(native(), ROCKETMQ));
    expect(newest().properties.map(([name]) => name)).not.toContain('TRAN_MSG');
    expect(newest().properties.map(([name]) => name)).toContain('TIMER_OUT_MS');
    expect(await replayed()).toEqual(wanted);
  });

  it('has what separates properties written otherwise, in names, values and keys', async () => {
    const odd = { ...RECORD, key: 'a\u0001b', properties: [['n\u0002', 'v\u0001w']] as const };
    await scene.sink.writeDeadLetter(letterOf(batchOf([odd]), PULSAR));
    expect(newest().properties).toContainEqual(['n%02', 'v%01w']);
    expect(newest().properties).toContainEqual(['__SHARDINGKEY', 'a%01b']);
  });

  it.each([10, 11, 12])('is stored once where the answer is %i, and that nobody has confirmed it is said', async (code) => {
    scene.queue.fate = () => ({ answer: { code, remark: 'late', fields: [['queueOffset', '0']] } });
    await scene.sink.writeDeadLetter(letterOf(batchOf([RECORD]), PULSAR));
    expect(scene.queue.broker.messages).toHaveLength(1);
    expect(scene.opened.log.map(({ event }) => event)).toContain('stored-without-confirmation');
  });

  it('has properties that are too long in a message of their own, under their own names', async () => {
    const long = { ...RECORD, properties: [['TRAN_MSG', 'x'.repeat(33_000)]] as const };
    await scene.sink.writeDeadLetter(letterOf(batchOf([long]), PULSAR));
    expect(scene.queue.broker.messages).toHaveLength(2);
    expect(scene.queue.bodies[0]).toBe('from a Pulsar');
    expect(JSON.parse(scene.queue.bodies[1] ?? '')).toContainEqual(['TRAN_MSG', 'x'.repeat(33_000)]);
    expect(newest().properties).toContainEqual([`${DEAD_LETTER_PREFIX}PART`, 'properties']);
  });
});

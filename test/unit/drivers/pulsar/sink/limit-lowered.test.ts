import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerPool } from '../../../../../src/drivers/pulsar/net/broker-pool.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { PulsarLaneWriter } from '../../../../../src/drivers/pulsar/sink/lane-writer.ts';
import { COMMAND, commandFrame } from '../../../../../src/drivers/pulsar/wire/command.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import type { IsthmusError } from '../../../../../src/errors.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { SlabPool } from '../../../../../src/lib/slab.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { batchOf, memoryLog } from '../../../../kit/pulsar-writing.ts';
import { type ManualClock, manualClock } from '../fake-broker.ts';
import { type FakeTopic, fakeTopic } from '../fake-topic.ts';

const TOO_LARGE = { error: 22, message: 'Exceed maximum message size' };
const LARGE = batchOf([{ offset: 10, body: Buffer.alloc(300_000) }]);

let topic: FakeTopic;
let pool: BrokerPool;
let clock: ManualClock;
let failures: IsthmusError[];
let writers: PulsarLaneWriter[];

beforeEach(async () => {
  topic = await fakeTopic();
  clock = manualClock();
  failures = [];
  writers = [];
  const deps = { clock, log: memoryLog([]), credentials: credentialsOf(undefined) };
  pool = new BrokerPool({ serviceUrl: topic.url, tls: undefined, listenerName: undefined }, deps);
});
afterEach(async () => {
  const closing = writers.map((writer) => writer.close(0));
  pool.close();
  await Promise.all(closing);
  await topic.close();
});

/** A writer that has opened under one limit of the topic, and is told another one when it asks again. */
async function opened(atFirst: number | undefined, later: number | undefined): Promise<PulsarLaneWriter> {
  const { signal } = new AbortController();
  const writer = new PulsarLaneWriter(
    {
      topic: 'persistent://public/default/t',
      partition: 0,
      sourceCluster: 'source',
      lane: { topic: 'orders', lane: 'q0' },
      link: 'link',
      batching: 'mixed',
      compression: 'none',
      signal,
      onStored: () => undefined,
      onFailed: (error) => failures.push(error),
      onTrouble: () => undefined,
    },
    {
      pool,
      slabs: new SlabPool(new ByteBudget(2 ** 24)),
      deps: { clock, log: memoryLog([]), random: () => 0.5, marks: plainMarks },
      producerName: 'isthmus/link/source/orders/q0',
      topicMaxBytes: atFirst,
      askTopicMaxBytes: async () => later,
      perKey: () => false,
      onEnd: () => undefined,
    },
  );
  writers.push(writer);
  await writer.start(signal);
  return writer;
}

function send(writer: PulsarLaneWriter): void {
  expect(writer.append(LARGE, 0)).toBe('taken');
  writer.flush();
}

async function failed(): Promise<IsthmusError | undefined> {
  await expect
    .poll(() => {
      clock.advance(200);
      return failures.length;
    })
    .toBe(1);
  return failures[0];
}

describe('a writer whose topic takes only smaller entries than before', () => {
  it.each([
    ['had a larger limit', 500_000],
    ['had none', undefined],
  ])(
    'and that %s ends in such a way that its lane reads again, and the next one refuses the record itself',
    async (_, atFirst) => {
      topic.fate = () => TOO_LARGE;
      send(await opened(atFirst, 200_000));
      expect(await failed()).toMatchObject({ code: 'LIMIT_LOWERED', retryable: true });
      const next = await opened(200_000, 200_000);
      expect(next.append(LARGE, 0)).toEqual({ refused: expect.stringContaining('takes 150848') });
    },
  );

  it.each([
    ['as large as before', 500_000],
    ['unknown', undefined],
  ])('stops where the limit is %s: else it would be tried without end', async (_, later) => {
    topic.fate = () => TOO_LARGE;
    send(await opened(500_000, later));
    expect(await failed()).toMatchObject({ code: 'RECORD_REFUSED', retryable: false });
  });
});

describe('a writer whose broker takes only smaller frames than before, as it was started again or the topic has moved', () => {
  it('sends nothing to it that it would close the connection for, and ends in such a way that its lane reads again', async () => {
    topic.fate = () => 'lost';
    const writer = await opened(undefined, undefined);
    send(writer);
    await expect.poll(() => topic.sent.length).toBe(1);
    topic.on(COMMAND.connect, () =>
      commandFrame(COMMAND.connected, new ProtoWriter().string(1, 'fake').int(2, 21).int(3, 200_000)),
    );
    topic.cut();
    expect(await failed()).toMatchObject({ code: 'LIMIT_LOWERED', retryable: true });
    expect(topic.sent).toHaveLength(1);
    const next = await opened(undefined, undefined);
    expect(next.append(LARGE, 0)).toEqual({ refused: expect.stringContaining('takes 150848') });
  });
});

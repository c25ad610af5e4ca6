import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterAdmin } from '../../../src/spi/cluster.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';
import { type SourceUnderTest, sourceUnderTest } from '../../kit/rocketmq-source.ts';

const { namesrv } = rocketmqEndpoints('rmq-east', testOffset);

let brokers: Brokers;
let eyes: Eyes;
let java: RocketmqEyes;
let ours: SourceUnderTest;
let admin: ClusterAdmin;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east']);
  eyes = await startEyes();
  java = eyes.rocketmq(namesrv);
  ours = sourceUnderTest(namesrv);
  ({ admin } = ours.cluster);
});

afterAll(async () => {
  await ours.close();
  await eyes.close();
  await brokers.stop();
});

const unique = (): string => `admin-${randomUUID()}`;

describe('the RocketMQ admin on a real broker', () => {
  it('creates a topic that the official tools see, grows it, and never shrinks it', async () => {
    const topic = unique();
    expect(await admin.describeTopic(topic)).toBeUndefined();
    expect((await admin.ensureTopic(topic, 3)).lanes).toHaveLength(3);
    expect((await admin.ensureTopic(topic, 3)).lanes).toHaveLength(3);
    expect((await admin.ensureTopic(topic, 5)).lanes).toHaveLength(5);
    expect((await admin.ensureTopic(topic, 2)).lanes).toHaveLength(5);
    expect((await java.topicStatus(topic)).map(({ broker, queue }) => `${broker}:${queue}`).sort()).toEqual(
      [0, 1, 2, 3, 4].map((queue) => `broker-a:${queue}`),
    );
  });

  it('describes the queues of a topic and its message type', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2, messageType: 'FIFO' });
    const description = await admin.describeTopic(topic);
    expect(description?.lanes).toEqual([0, 1].map((queue) => ({ lane: `broker-a:${queue}`, readable: true, writable: true })));
    expect(description?.settings).toEqual({ brokers: 'broker-a', perm: '6', 'message.type': 'FIFO' });
  });

  it('lists application topics and none of the system', async () => {
    const topics = [unique(), unique()].sort();
    const retry = `%RETRY%${unique()}`;
    for (const topic of [...topics, retry]) await java.createTopic(topic, { queues: 1 });
    const listed = await admin.listTopics();
    expect(listed.filter((topic) => topics.includes(topic))).toEqual(topics);
    expect(listed.filter((topic) => /^(%|TBW102|SCHEDULE_TOPIC|RMQ_SYS|rmq_sys|broker-a$|rmq-east)/.test(topic))).toEqual([]);
    expect(listed).toEqual(listed.toSorted());
    expect(await admin.listTopics({ retryTopics: true })).toContain(retry);
  });

  it('knows where each queue begins and ends', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2 });
    await java.send(
      topic,
      [0, 0, 0, 1].map((queue) => ({ body: 'm', queue })),
    );
    await java.read(topic, { expect: 4 });
    const extents = await admin.extents(topic);
    expect(
      [...extents].sort(([a], [b]) => a.localeCompare(b)).map(([lane, { begin, end }]) => [lane, begin.major, end.major]),
    ).toEqual([
      ['broker-a:0', 0, 3],
      ['broker-a:1', 0, 1],
    ]);
    await expect(admin.extents(unique())).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });

  it('calls a topic deleted when the broker that had it is there and has it no more', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2 });
    expect(await admin.isDeleted?.(topic, ['broker-a:0', 'broker-a:1'])).toBe(false);
    await java.deleteTopic(topic);
    await expect.poll(() => admin.isDeleted?.(topic, ['broker-a:0', 'broker-a:1'])).toBe(true);
    expect(await admin.isDeleted?.(topic, ['broker-a:0', 'broker-z:0'])).toBe(false);
    await java.createTopic(topic, { queues: 2 });
    await expect.poll(() => admin.isDeleted?.(topic, ['broker-a:0', 'broker-a:1'])).toBe(false);
  });

  it('refuses a topic name that the broker does not take', async () => {
    await expect(admin.ensureTopic('no.dots', 1)).rejects.toMatchObject({ code: 'BROKER_REFUSED' });
  });

  it('checks name servers, brokers and topics, and says what is wrong with each', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2 });
    const absent = unique();
    const items = await admin.check({ reads: [topic, absent], writes: [] });
    expect(items.map(({ what, ok }) => [what, ok])).toEqual([
      ['name servers', true],
      ['broker broker-a', true],
      [`topic ${topic}`, true],
      [`topic ${absent}`, false],
    ]);
    expect(items[1]?.detail).toContain('V5_5_0');
    expect(items[2]?.detail).toContain('2 queue(s) at broker-a');
    expect(items[3]?.detail).toContain('17');
  });

  it('tells of topics to write whether they are there, and of those that rocketmq-replicator writes', async () => {
    const [there, absent, brought] = [unique(), unique(), unique()];
    for (const topic of [there, brought]) await java.createTopic(topic, { queues: 2 });
    await java.send(brought, [{ body: 'm', queue: 1, properties: { 'REPLICATOR-BORN-SOURCE': 'tencent_east_other' } }]);
    await java.read(brought, { expect: 1 });
    const items = await admin.check({ reads: [brought], writes: [there, absent] });
    expect(items.slice(2).map(({ what, ok, note }) => [what, ok, note])).toEqual([
      [`topic ${brought}`, true, undefined],
      [`other replication of ${brought}`, true, 'warning'],
      [`write ${there}`, true, undefined],
      [`write ${absent}`, true, undefined],
    ]);
    expect(items.at(-1)?.detail).toContain('will be created');
  });

  it('asks the next name server when one is down', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 1 });
    const two = sourceUnderTest(`127.0.0.1:1;${namesrv}`);
    expect((await two.cluster.admin.describeTopic(topic))?.lanes).toHaveLength(1);
    await two.close();
  });

  it('rejects when no name server answers, and its check says so', async () => {
    const none = sourceUnderTest('127.0.0.1:1');
    await expect(none.cluster.admin.listTopics()).rejects.toMatchObject({ code: 'CONNECT_FAILED', retryable: true });
    expect(await none.cluster.admin.check({ reads: ['t'], writes: [] })).toMatchObject([
      { what: 'name servers', ok: false },
      { what: 'topic t', ok: false },
    ]);
    await none.close();
  });
});

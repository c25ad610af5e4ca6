/** What every driver's admin half does. */
import { describe, expect, it } from 'vitest';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import type { Shore } from './shore.ts';
import { openBoth } from './under-test.ts';

export function describeManaging(shore: Shore): void {
  const { createsTopics, listsTopics } = shore.cluster.capabilities;

  describe('a topic that is to exist', () => {
    if (createsTopics) made(shore);
    else found(shore);
  });

  describe('an admin', () => {
    it('describes a topic with its lanes, and none that does not exist', async () => {
      const { topic, lanes } = await shore.newTopic(2);
      expect(await shore.cluster.admin.describeTopic(shore.driver.newTopicName())).toBeUndefined();
      const described = await shore.cluster.admin.describeTopic(topic);
      expect(described?.lanes.map(({ lane }) => lane)).toEqual(lanes.map(({ lane }) => lane));
      expect(described?.lanes.every(({ readable, writable }) => readable && writable)).toBe(true);
    });

    it('lists topics of applications, sorted, and none of the cluster itself; none at all where it cannot', async () => {
      const { topic } = await shore.newTopic();
      const { topic: other } = await shore.newTopic();
      const topics = await shore.cluster.admin.listTopics();
      expect(topics).toEqual(topics.toSorted());
      expect(topics.filter((each) => each === topic || each === other)).toHaveLength(listsTopics ? 2 : 0);
      expect(topics).not.toContain(shore.driver.systemTopic);
    });

    it('says beforehand which topic names the cluster refuses, and why', () => {
      const { sink } = shore.cluster;
      expect(sink.refusesTopicName(shore.driver.newTopicName())).toBeUndefined();
      expect(sink.refusesTopicName(shore.driver.refusedTopicName)).toMatch(/\w{3}/);
    });

    it('checks what mirrors need, topic by topic, and creates nothing', async () => {
      const { topic } = await shore.newTopic();
      const absent = shore.driver.newTopicName();
      const items = await shore.cluster.admin.check({ reads: [topic], writes: [topic, absent] });
      expect(items.filter(({ ok, what }) => !ok && !what.includes(absent))).toEqual([]);
      expect(items.every(({ what, detail }) => what !== '' && detail !== '')).toBe(true);
      // Where nobody would create it, a topic that is not there is a problem.
      expect(items.filter(({ ok, what }) => !ok && what.includes(absent)).length > 0).toBe(!createsTopics);
      expect(await shore.cluster.admin.describeTopic(absent)).toBeUndefined();
    });
  });

  const { openNowhere } = shore.driver;
  if (openNowhere !== undefined) away(shore, openNowhere);
}

function found(shore: Shore): void {
  it('is not created where the driver cannot: whoever asks is told', async () => {
    const topic = shore.driver.newTopicName();
    await expect(shore.cluster.admin.ensureTopic(topic, 2)).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    const { topic: there } = await shore.newTopic(2);
    expect((await shore.cluster.admin.ensureTopic(there, 2)).lanes).toHaveLength(2);
  });
}

function away(shore: Shore, open: () => Cluster): void {
  it('a cluster that is away is told as that: rejected for now by everything, and a line of the check', async () => {
    const nowhere = openBoth({ ...shore.driver, open });
    const topic = shore.driver.newTopicName();
    const refused = { code: 'CONNECT_FAILED', retryable: true };
    await expect(nowhere.admin.listTopics()).rejects.toMatchObject(refused);
    await expect(nowhere.admin.describeTopic(topic)).rejects.toMatchObject(refused);
    const items = await nowhere.admin.check({ reads: [topic], writes: [topic] });
    expect(items.some(({ ok }) => !ok)).toBe(true);
    await nowhere.close();
  });
}

function made(shore: Shore): void {
  it('is created, stays, grows, and never shrinks', async () => {
    const { admin } = shore.cluster;
    const topic = shore.driver.newTopicName();
    for (const [wanted, there] of [
      [2, 2],
      [2, 2],
      [5, 5],
      [1, 5],
    ] as const)
      expect((await admin.ensureTopic(topic, wanted)).lanes).toHaveLength(there);
    const two = (await admin.describeTopic(topic))?.lanes.slice(0, 2).map(({ lane }) => lane);
    expect(two).toEqual((await shore.newTopic(2)).lanes.map(({ lane }) => lane));
  });

  it('is created once, also when several ask at the same time', async () => {
    const topic = shore.driver.newTopicName();
    const made = await Promise.all([4, 4, 4].map((lanes) => shore.cluster.admin.ensureTopic(topic, lanes)));
    expect(made.map(({ lanes }) => lanes.length)).toEqual([4, 4, 4]);
  });
}

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { numbered, openTestCluster, openTestWriter } from '../../kit/pulsar-writing.ts';

const target = pulsarEndpoints('pulsar-west', testOffset);
let brokers: Brokers;
let cluster: Cluster & { readonly sink: Sink };

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-west']);
  cluster = openTestCluster(target);
});

afterAll(async () => {
  await cluster.close();
  await brokers.stop();
});

function newName(local = `admin-${randomUUID()}`): string {
  return `persistent://public/default/${local}`;
}

async function createUnpartitioned(topic: string): Promise<void> {
  const answer = await fetch(`${target.adminUrl}/admin/v2/${topic.replace('://', '/')}`, { method: 'PUT' });
  expect(answer.status).toBe(204);
}

describe('a topic that is to exist', () => {
  it('is a mismatch when it exists without partitions, and stays as it is', async () => {
    const topic = newName();
    await createUnpartitioned(topic);
    await expect(cluster.admin.ensureTopic(topic, 2)).rejects.toMatchObject({
      code: 'TOPIC_MISMATCH',
      message: expect.stringContaining('without partitions'),
    });
    expect((await cluster.admin.describeTopic(topic))?.settings['partitions']).toBe('0');
  });

  it('does where one partition is wanted and it has none', async () => {
    const topic = newName();
    await createUnpartitioned(topic);
    expect((await cluster.admin.ensureTopic(topic, 1)).lanes.map(({ lane }) => lane)).toEqual(['0']);
    expect((await cluster.admin.describeTopic(topic))?.settings['partitions']).toBe('0');
  });

  it('is made without partitions where the source’s has none', async () => {
    const topic = newName();
    const options = { like: { partitions: '0' }, retentionMinutes: 90 };
    expect((await cluster.admin.ensureTopic(topic, 1, options)).lanes.map(({ lane }) => lane)).toEqual(['0']);
    expect((await cluster.admin.describeTopic(topic))?.settings).toMatchObject({ partitions: '0', retentionMinutes: '90' });
    const spread = newName();
    expect((await cluster.admin.ensureTopic(spread, 3, options)).lanes).toHaveLength(3);
  });

  it('needs its namespace', async () => {
    await expect(cluster.admin.ensureTopic(`persistent://public/nowhere-${randomUUID()}/t`, 1)).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    });
  });

  it('may have a name with characters that paths do not like', async () => {
    const topic = newName(`orders.v1:é+${randomUUID()}`);
    expect((await cluster.admin.ensureTopic(topic, 1)).lanes).toHaveLength(1);
    const { write, until, writer } = await openTestWriter(cluster.sink, topic);
    await write(numbered(0, 10));
    await until(10);
    await writer.close(0);
    expect(await cluster.admin.listTopics()).toContain(topic);
  });
});

describe('looking at a topic', () => {
  it('lists it once, beside unpartitioned ones, without what belongs to Pulsar or its clients', async () => {
    const [partitioned, single, retry] = [newName(), newName(), newName(`admin-${randomUUID()}-sub-RETRY`)];
    await cluster.admin.ensureTopic(partitioned, 3);
    await createUnpartitioned(single);
    await createUnpartitioned(retry);
    const topics = await cluster.admin.listTopics();
    expect(topics.filter((topic) => topic.startsWith(partitioned))).toEqual([partitioned]);
    expect(topics).toContain(single);
    expect(topics).not.toContain(retry);
    expect(await cluster.admin.listTopics({ retryTopics: true })).toContain(retry);
    expect(topics.filter((topic) => topic.includes('__') || topic.includes('/system/'))).toEqual([]);
    expect(topics).toEqual([...topics].sort());
  });

  it('gives where each partition begins and ends', async () => {
    const topic = newName();
    await cluster.admin.ensureTopic(topic, 2);
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic, { partition: 1 });
    await write(numbered(0, 30), 10);
    await until(30);
    const extents = await cluster.admin.extents(topic);
    const last = stored.at(-1)?.target;
    expect(extents.get('1')).toMatchObject({ end: { major: last?.major, minor: (last?.minor ?? 0) + 1 } });
    const empty = extents.get('0');
    expect(empty?.begin).toEqual(empty?.end);
    await writer.close(0);
    expect(await cluster.admin.extents(newName())).toEqual(new Map());
  });

  it('by reading it creates nothing', async () => {
    const topic = newName();
    await expect(cluster.sink.tail(topic, 0)).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    await expect(cluster.sink.scan(topic, 0, { major: 1, minor: 1, index: 0 }, 10, () => undefined)).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    });
    expect(await cluster.admin.describeTopic(topic)).toBeUndefined();
    const listed = await cluster.admin.listTopics();
    expect(listed.filter((each) => each.startsWith(topic))).toEqual([]);
  });
});

describe('a check', () => {
  it('says line by line what works and what does not', async () => {
    const [present, absent, single] = [newName(), newName(), newName()];
    await cluster.admin.ensureTopic(present, 2);
    await createUnpartitioned(single);
    const items = await cluster.admin.check({
      reads: [],
      writes: [present, absent, single, 'persistent://public/nowhere/t', 'non-persistent://a/b/c'],
    });
    expect(items.map(({ what, ok }) => [what, ok])).toEqual([
      ['service URL', true],
      ['admin URL', true],
      [`topic ${present}`, true],
      [`produce to ${present}`, true],
      [`topic ${absent}`, true],
      [`topic ${single}`, true],
      [`produce to ${single}`, true],
      ['topic persistent://public/nowhere/t', false],
      ['topic non-persistent://a/b/c', false],
    ]);
    expect(items[0]?.detail).toContain('4.0.8');
    expect(items[5]?.detail).toContain('without partitions');
    expect(items[7]?.detail).toContain('does not exist');
    // Trying to write has made nothing of the parent's name.
    expect((await cluster.admin.describeTopic(present))?.settings['partitions']).toBe('2');
  });

  it('of topics that are read asks for what reading needs, and takes those without partitions', async () => {
    const [present, absent, single] = [newName(), newName(), newName()];
    await cluster.admin.ensureTopic(present, 2);
    await createUnpartitioned(single);
    const items = await cluster.admin.check({ reads: [present, single, absent], writes: [] });
    expect(items.slice(2).map(({ what, ok }) => [what, ok])).toEqual([
      [`topic ${present}`, true],
      [`consume from ${present}`, true],
      [`topic ${single}`, true],
      [`consume from ${single}`, true],
      [`topic ${absent}`, true],
    ]);
    expect(items.at(-1)?.detail).toContain('waited for');
    expect(await cluster.admin.describeTopic(absent)).toBeUndefined();
  });

  it('warns of topics that Pulsar itself replicates, there already or not', async () => {
    const own = `geo-${randomUUID()}`;
    const put = async (path: string, body: unknown): Promise<void> => {
      const answer = await fetch(`${target.adminUrl}/admin/v2/${path}`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
      expect(answer.status).toBeLessThan(300);
    };
    await put(`clusters/${own}`, { serviceUrl: 'http://127.0.0.1:4', brokerServiceUrl: 'pulsar://127.0.0.1:4' });
    await put(`tenants/${own}`, { adminRoles: [], allowedClusters: ['pulsar-west', own] });
    await put(`namespaces/${own}/n`, { replication_clusters: ['pulsar-west', own] });
    await put(`persistent/${own}/n/there/partitions`, 1);
    const [there, later] = [`persistent://${own}/n/there`, `persistent://${own}/n/later`];
    const items = await cluster.admin.check({ reads: [there], writes: [later] });
    const warned = items.filter(({ note }) => note === 'warning');
    expect(warned.map(({ what }) => what)).toEqual([`geo-replication of ${there}`, `geo-replication of ${later}`]);
    // In the order of Pulsar's own set, which has none.
    expect(warned[0]?.detail).toMatch(new RegExp(`between (pulsar-west, ${own}|${own}, pulsar-west);`));
    await fetch(`${target.adminUrl}/admin/v2/persistent/${own}/n/there/partitions?force=true`, { method: 'DELETE' });
  });

  it('of a cluster that is not there says so and ends', async () => {
    const nowhere = openTestCluster({ serviceUrl: 'pulsar://127.0.0.1:1', adminUrl: 'http://127.0.0.1:1' });
    const items = await nowhere.admin.check({ reads: [], writes: [newName()] });
    expect(items.map(({ what, ok }) => [what, ok])).toEqual([
      ['service URL', false],
      ['admin URL', false],
    ]);
    expect(items[0]?.detail).toContain('127.0.0.1:1');
    await nowhere.close();
  });
});

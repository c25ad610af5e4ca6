import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes, PulsarRow } from '../../kit/pulsar-eyes.ts';
import { sendRaw } from '../../kit/raw-rocketmq.ts';
import type { RocketmqEyes, RocketmqRow } from '../../kit/rocketmq-eyes.ts';

// The rows of docs/FIDELITY.md, after two hops, and a third one, after which nothing may be said twice. Official clients write the first cluster and read the others.

const at = {
  'rmq-east': rocketmqEndpoints('rmq-east', testOffset),
  'rmq-west': rocketmqEndpoints('rmq-west', testOffset),
};
const run = `hops${Date.now().toString(36)}`;
const names = { fromPulsar: `${run}-p`, fromRocketmq: `${run}-r`, brought: `${run}-b`, changed: `${run}-c` };
const eventTime = 1_763_750_000_123;
const ways: Readonly<Record<string, readonly ClusterName[]>> = {
  [names.fromPulsar]: ['pulsar-west', 'rmq-east', 'pulsar-east', 'rmq-west'],
  [names.fromRocketmq]: ['rmq-east', 'pulsar-west', 'rmq-west', 'pulsar-east'],
  [names.brought]: ['rmq-east', 'rmq-west'],
  [names.changed]: ['rmq-east', 'rmq-west'],
};

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest;
let pulsar: Readonly<Record<'east' | 'west', PulsarEyes>>;
let rocketmq: Readonly<Record<'east' | 'west', RocketmqEyes>>;

const full = (name: string): string => `persistent://public/default/${name}`;
const nameAt = (cluster: ClusterName, name: string): string => (cluster.startsWith('pulsar') ? full(name) : name);

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west']);
  eyes = await startEyes();
  rocketmq = { east: eyes.rocketmq(at['rmq-east'].namesrv), west: eyes.rocketmq(at['rmq-west'].namesrv) };
  pulsar = {
    east: eyes.pulsar(pulsarEndpoints('pulsar-east', testOffset)),
    west: eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset)),
  };
  await Promise.all(
    Object.entries(ways).flatMap(([name, clusters]) =>
      clusters.map(async (cluster) => await clusterEyes(eyes, cluster, testOffset).createTopic(name, 1)),
    ),
  );
  await writePulsar();
  await writeRocketmq();
  mirror = await linksUnderTest(linksOf(ways));
  mirror.process.start();
  await mirror.listening();
  await arrived('rmq-west', names.fromPulsar, 4);
  await arrived('pulsar-east', names.fromRocketmq, 6);
  await arrived('rmq-west', names.brought, 2);
  await arrived('rmq-west', names.changed, 1);
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

/** A link for each pair of neighbours, with a mirror for each topic that goes that way. */
function linksOf(all: typeof ways): Parameters<typeof linksUnderTest>[0] {
  const links = new Map<string, { name: string; from: ClusterName; to: ClusterName; mirrors: Record<string, object> }>();
  for (const [name, clusters] of Object.entries(all)) {
    for (const [k, to] of clusters.entries()) {
      const from = clusters[k - 1];
      if (from === undefined) continue;
      const link = links.get(`${from}-${to}`) ?? { name: `${from}-${to}`, from, to, mirrors: {} };
      link.mirrors[`m${Object.keys(link.mirrors).length}`] = {
        topics: [nameAt(from, name)],
        rename: nameAt(to, name),
        ...(name === names.changed ? { transform: { set: { region: 'east' } } } : {}),
      };
      links.set(link.name, link);
    }
  }
  return [...links.values()].map((link) => ({ ...link, mirrors: link.mirrors as Record<string, Record<string, unknown>> }));
}

/** Waits until a cluster has taken so many messages; a lane that stops instead fails the test at once. */
async function arrived(cluster: ClusterName, name: string, count: number): Promise<void> {
  const there = clusterEyes(eyes, cluster, testOffset);
  let stopped = 0;
  await eventually(
    `${count} are on ${cluster}`,
    async () => {
      stopped = (await mirror.mirrors()).reduce((sum, { lanes }) => sum + lanes.stopped, 0);
      return stopped > 0 || (await there.messagesIn(name)) >= count;
    },
    mirror.process,
  );
  expect(stopped).toBe(0);
}

async function writePulsar(): Promise<void> {
  const reserved = { CLUSTER: 'mine', PULSAR_CLUSTER: 'ours', PULSAR_ORDERING_KEY: 'no order', note: 'grüße' };
  await pulsar.west.send(
    full(names.fromPulsar),
    [
      {
        body: 'all',
        keyHex: '00ff80',
        orderingKeyHex: 'ff03',
        eventTime,
        sequenceId: 41,
        properties: { id: 'all', ...reserved },
      },
      { body: 'null key', nullKey: true, properties: { id: 'null key' } },
      { body: 'text key', key: 'k', properties: { id: 'text key' } },
      { body: 'late', deliverAfterMs: 3_600_000, properties: { id: 'late' } },
    ],
    { producer: 'shop' },
  );
}

async function writeRocketmq(): Promise<void> {
  const topic = names.fromRocketmq;
  const { east } = rocketmq;
  await east.send(topic, [
    { body: 'all', tags: 'paid', keys: 'k1 k2', shardingKey: 's1', flag: -7, properties: { id: 'all', note: '您好', none: '' } },
    { body: 'keys', keys: 'k1 k2', properties: { id: 'keys' } },
    { body: 'own', properties: { id: 'own', PULSAR_ORDERING_KEY: 'x', PULSAR_KEY_BASE64: 'true', PULSAR_CLUSTER: 'c' } },
  ]);
  await east.send(topic, [{ body: 'long '.repeat(1_000), properties: { id: 'packed' } }], {
    compress: 'ZLIB',
    compressAbove: 100,
  });
  await east.send(topic, [{ body: '', properties: { id: 'empty' } }], { batch: true, queue: 0 });
  const again = { topic, queue: 0, body: Buffer.from('again'), reconsumeTimes: 3, properties: { id: 'again' } };
  await sendRaw(at['rmq-east'].broker, again);
  const born = 'connect-ext-REPLICATOR-BORN-SOURCE';
  await east.send(names.brought, [
    { body: 'b', properties: { id: 'from the target', [born]: 'cloud_x_north,rmq-west,' } },
    { body: 'b', properties: { id: 'from elsewhere', [born]: 'cloud_rmq-west_north,rmq-westward,' } },
    { body: 'b', properties: { id: 'local' } },
  ]);
  await east.send(names.changed, [{ body: 'long '.repeat(1_000), tags: 't', properties: { id: 'changed' } }], {
    compress: 'ZLIB',
    compressAbove: 100,
  });
}

type Row = PulsarRow | RocketmqRow;

async function rowsOf<T extends Row>(reading: Promise<readonly T[]>): Promise<ReadonlyMap<string, T>> {
  const rows = await reading;
  const byId = new Map(rows.map((row) => [row.properties['id'] ?? '', row]));
  expect(byId.size).toBe(rows.length);
  return byId;
}

function without(row: Row | undefined, ...left: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(row?.properties ?? {}).filter(([name]) => ![...left, 'ISTHMUS'].includes(name)));
}

const bornOf = (row: RocketmqRow | undefined): string => row?.properties['BORN_TIMESTAMP'] ?? String(row?.bornTimestamp);

describe('a record of a Pulsar, over a RocketMQ, on another Pulsar', () => {
  it('has its payload, keys of all kinds, event time, and properties by their names', async () => {
    const before = await rowsOf(pulsar.west.read(full(names.fromPulsar)));
    const after = await rowsOf(pulsar.east.read(full(names.fromPulsar)));
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [id, original] of before) {
      const { bodyHex, hasKey, key, keyIsBase64, nullKey, orderingKeyHex, properties } = original;
      expect(after.get(id)).toMatchObject({ bodyHex, hasKey, key, keyIsBase64, nullKey, orderingKeyHex, properties });
    }
    expect(after.get('all')).toMatchObject({ keyIsBase64: true, orderingKeyHex: 'ff03', eventTime });
    const nothing = after.get('null key');
    expect(nothing).toMatchObject({ hasKey: false, nullKey: true });
    expect(Math.abs((nothing?.eventTime ?? 0) - (before.get('null key')?.publishTime ?? 0))).toBeLessThanOrEqual(1_000);
  });

  it('has beside these what RocketMQ had of it, and no more', async () => {
    const before = await rowsOf(pulsar.west.read(full(names.fromPulsar)));
    const after = await rowsOf(pulsar.east.read(full(names.fromPulsar)));
    const added = (id: string): Record<string, string> =>
      without(after.get(id), 'UNIQ_KEY', 'BORN_TIMESTAMP', ...Object.keys(before.get(id)?.properties ?? {}));
    expect(added('all')).toEqual({ __SHARDINGKEY: 'AP+A', PULSAR_PRODUCER: 'shop-0', PULSAR_SEQUENCE: '41' });
    expect(added('null key')).toEqual({ PULSAR_PRODUCER: 'shop-0', PULSAR_SEQUENCE: String(before.get('null key')?.sequenceId) });
    expect(added('late')).toMatchObject({ PULSAR_DELIVER_AT: String(before.get('late')?.deliverAtTime) });
    expect(after.get('late')?.deliverAtTime).toBe(0);
  });

  it('is on the next RocketMQ what it was on the first', async () => {
    const [first, next] = [
      await rowsOf(rocketmq.east.read(names.fromPulsar)),
      await rowsOf(rocketmq.west.read(names.fromPulsar)),
    ];
    expect([...next.keys()]).toEqual([...first.keys()]);
    for (const [id, row] of first) {
      const copy = next.get(id);
      expect(copy?.bodyHex).toBe(row.bodyHex);
      expect(without(copy, 'BORN_TIMESTAMP')).toEqual(without(row, 'BORN_TIMESTAMP'));
      expect(bornOf(copy)).toBe(bornOf(row));
    }
    expect(first.get('all')?.properties).toMatchObject({ PULSAR_PULSAR_CLUSTER: 'ours', PULSAR_PULSAR_ORDERING_KEY: 'no order' });
  });
});

describe('a message of a RocketMQ, over a Pulsar, on another RocketMQ', () => {
  it('has its body, flag, born time, tag, keys, id and properties', async () => {
    const before = await rowsOf(rocketmq.east.read(names.fromRocketmq));
    const after = await rowsOf(rocketmq.west.read(names.fromRocketmq));
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [id, original] of before) {
      const copy = after.get(id);
      expect([copy?.bodySha256, copy?.flag, copy?.bodyLength]).toEqual([original.bodySha256, original.flag, original.bodyLength]);
      expect(bornOf(copy)).toBe(String(original.bornTimestamp));
      const own = without(original, 'WAIT', 'CLUSTER', 'MSG_REGION', 'TRACE_ON', 'PGROUP');
      // A message that was sent without an id of a client gets one.
      expect(without(copy, 'BORN_TIMESTAMP', 'ROCKETMQ_RECONSUME_TIMES', ...('UNIQ_KEY' in own ? [] : ['UNIQ_KEY']))).toEqual(
        own,
      );
    }
    expect(after.get('all')).toMatchObject({ flag: -7, properties: { TAGS: 'paid', KEYS: 'k1 k2', __SHARDINGKEY: 's1' } });
    expect(after.get('again')).toMatchObject({ reconsumeTimes: 0, properties: { ROCKETMQ_RECONSUME_TIMES: '3' } });
  });

  it('keeps properties that only look like facts of a Pulsar, everywhere', async () => {
    const own = { PULSAR_ORDERING_KEY: 'x', PULSAR_KEY_BASE64: 'true', PULSAR_CLUSTER: 'c' };
    for (const reading of [pulsar.west.read(full(names.fromRocketmq)), pulsar.east.read(full(names.fromRocketmq))]) {
      const row = (await rowsOf(reading)).get('own');
      expect(row).toMatchObject({ properties: own, orderingKeyHex: null, keyIsBase64: false });
    }
  });

  it('is on the next Pulsar what it was on the first', async () => {
    const [first, next] = [
      await rowsOf(pulsar.west.read(full(names.fromRocketmq))),
      await rowsOf(pulsar.east.read(full(names.fromRocketmq))),
    ];
    for (const [id, row] of first) {
      const copy = next.get(id);
      expect([copy?.bodySha256, copy?.key, copy?.eventTime]).toEqual([row.bodySha256, row.key, row.eventTime]);
      expect(without(copy, 'BORN_TIMESTAMP', 'UNIQ_KEY')).toEqual(without(row, 'UNIQ_KEY'));
    }
  });
});

describe('from RocketMQ to RocketMQ', () => {
  it('what another replicator has brought from the target stays where it is, by the whole name', async () => {
    const after = await rowsOf(rocketmq.west.read(names.brought));
    expect([...after.keys()]).toEqual(['from elsewhere', 'local']);
  });

  it('a message that a transform changes is put together anew, without compression and born host', async () => {
    const [original] = await rocketmq.east.read(names.changed);
    const [copy] = await rocketmq.west.read(names.changed);
    expect(copy).toMatchObject({ bodySha256: original?.bodySha256, sysFlag: 0, properties: { region: 'east', TAGS: 't' } });
    expect(copy?.properties).not.toHaveProperty('__BORNHOST');
    expect(copy?.properties['UNIQ_KEY']).toBe(original?.properties['UNIQ_KEY']);
  });
});

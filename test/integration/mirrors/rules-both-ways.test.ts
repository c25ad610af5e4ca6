import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import { setMessageLimit } from '../../kit/pulsar-policies.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

// Names, filters, transforms and dead letters over two clusters that are both written: official clients write and read.

const pulsarAt = pulsarEndpoints('pulsar-west', testOffset);
const run = Date.now().toString(36);
const full = (topic: string): string => `persistent://public/default/${topic}`;

interface Replay {
  readonly state: string;
  readonly topics: readonly {
    readonly found: number;
    readonly replayed: number;
    readonly refused: number;
    readonly unfit: number;
  }[];
  readonly letters: readonly { readonly position: string; readonly reason: string }[];
  readonly trouble: { readonly code: string } | null;
}

let brokers: Brokers;
let eyes: Eyes;
let east: RocketmqEyes;
let west: PulsarEyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
  east = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  west = eyes.pulsar(pulsarAt);
  const rules = {
    filter: { except: { kind: ['test'] }, present: ['id'] },
    transform: { drop: ['debug-*'], rename: { cust: 'customer' }, set: { by: 'isthmus' } },
    onBadRecord: 'dead-letter',
  };
  const both = { topics: [`both-${run}-*`], exclude: ['*-dead-letter'] };
  mirror = await linksUnderTest([
    {
      name: 'there',
      from: 'rmq-east',
      to: 'pulsar-west',
      mirrors: {
        m: { topics: [`there-${run}-*`], rename: [{ match: 'there-*-*', to: full('eu-{2}-of-{1}') }], ...rules },
        both,
        large: { topics: [`large-${run}`], onBadRecord: 'dead-letter' },
      },
    },
    {
      name: 'back',
      from: 'pulsar-west',
      to: 'rmq-east',
      mirrors: {
        m: { topics: [`back-${run}-*`], rename: 'from-{tenant}-{name}', ...rules },
        both,
        bad: { topics: [`bad-${run}`], onBadRecord: 'dead-letter' },
      },
    },
  ]);
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

const WRITTEN = [
  { body: 'a', properties: { id: '1', 'debug-x': 'y', cust: 'c1', by: 'hand' } },
  { body: 'b', properties: { id: '2', kind: 'test' } },
  { body: 'c', properties: { kind: 'real' } },
  { body: 'd', properties: { id: '4', kind: 'real' } },
];
const EXPECTED = [
  { id: '1', customer: 'c1', by: 'isthmus' },
  { id: '4', kind: 'real', by: 'isthmus' },
];

function own(properties: Readonly<Record<string, string>>): Record<string, string> {
  const names = ['id', 'kind', 'customer', 'cust', 'by', 'debug-x'];
  return Object.fromEntries(Object.entries(properties).filter(([name]) => names.includes(name)));
}

async function replay(link: number, name: string, body: object): Promise<Replay> {
  const path = `/v1/mirrors/${mirror.links[link]}/${name}/replay`;
  expect((await mirror.api('POST', path, body)).status).toBe(202);
  let last: Replay | undefined;
  await eventually('the replay has ended', async () => {
    last = (await mirror.api<Replay>('GET', path)).body;
    return last.state !== 'running';
  });
  if (last === undefined) throw new Error('there was no replay');
  return last;
}

describe('two clusters that are both written', () => {
  it('have names, filters and transforms of their own each way', async () => {
    await east.createTopic(`there-${run}-a`, { queues: 2 });
    await west.createTopic(full(`back-${run}-b`), 2);
    await east.send(
      `there-${run}-a`,
      WRITTEN.map((message) => ({ ...message, queue: 0 })),
    );
    await west.send(full(`back-${run}-b`), WRITTEN, { batch: true });
    mirror.process.start();
    await mirror.listening();
    await eventually('both are there', async () => {
      const [there, back] = [await west.read(full(`eu-a-of-${run}`)), await east.read(`from-public-back-${run}-b`)];
      return there.length >= 2 && back.length >= 2;
    });
    const there = await west.read(full(`eu-a-of-${run}`));
    expect(there.map(({ properties }) => own(properties))).toEqual(EXPECTED);
    const back = await east.read(`from-public-back-${run}-b`);
    expect(back.map(({ properties }) => own(properties))).toEqual(EXPECTED);
    expect(back.map(({ bodyHex }) => Buffer.from(bodyHex ?? '', 'hex').toString())).toEqual(['a', 'd']);
  });

  it('keep one name both ways, and each record arrives once', async () => {
    const topic = `both-${run}-x`;
    await east.createTopic(topic, { queues: 1 });
    await east.send(
      topic,
      Array.from({ length: 20 }, (_, i) => ({ body: 'e', queue: 0, properties: { id: `e${i}` } })),
    );
    await eventually('east is in the west', async () => (await west.read(full(topic))).length >= 20);
    await west.send(
      full(topic),
      Array.from({ length: 20 }, (_, i) => ({ body: 'w', properties: { id: `w${i}` } })),
    );
    await eventually('west is in the east', async () => (await east.read(topic)).length >= 40);
    const ids = (rows: readonly { readonly properties: Readonly<Record<string, string>> }[]): string[] =>
      rows.map(({ properties }) => properties['id'] ?? '').sort();
    const all = ['e', 'w'].flatMap((side) => Array.from({ length: 20 }, (_, i) => `${side}${i}`)).sort();
    expect(ids(await east.read(topic))).toEqual(all);
    expect(ids(await west.read(full(topic)))).toEqual(all);
  });
});

describe('dead letters', () => {
  it('of a Pulsar target are put back when the cause is mended, once, as the records that they were', async () => {
    const topic = `large-${run}`;
    await west.createTopic(full(topic), 2);
    await setMessageLimit(pulsarAt, topic, 100 * 1024);
    await east.createTopic(topic, { queues: 2 });
    const large = { bodyHex: 'ab'.repeat(90_000), keys: 'k' };
    await east.send(
      topic,
      [0, 1, 2, 3].flatMap((i) => [
        { ...large, queue: i % 2, properties: { id: `large-${i}` } },
        { body: 'x', queue: i % 2, properties: { id: `small-${i}` } },
      ]),
    );
    await eventually('all is there or refused', async () => {
      const [stored, dead] = [await west.read(full(topic)), await west.read(full(`${topic}-dead-letter`))];
      return stored.length === 4 && dead.length === 4;
    });

    const looked = await replay(0, 'large', { dryRun: true });
    expect(looked).toMatchObject({ state: 'done', topics: [{ found: 4, replayed: 0, unfit: 0 }] });
    expect(looked.letters).toHaveLength(4);
    expect(looked.letters[0]?.reason).toMatch(/has \d+ bytes/);

    const refused = await replay(0, 'large', {});
    expect(refused).toMatchObject({ state: 'failed', trouble: { code: 'RECORD_REFUSED' } });

    await setMessageLimit(pulsarAt, topic, 1024 * 1024);
    const first = await replay(0, 'large', { limit: 1 });
    expect(first).toMatchObject({ state: 'done', topics: [{ found: 1, replayed: 1 }] });
    const rest = await replay(0, 'large', {});
    expect(rest).toMatchObject({ state: 'done', topics: [{ found: 3, replayed: 3 }] });
    const again = await replay(0, 'large', {});
    expect(again).toMatchObject({ state: 'done', topics: [{ found: 0, replayed: 0 }] });

    const stored = await west.read(full(topic));
    expect(stored.map(({ properties }) => properties['id'] ?? '').sort()).toEqual(
      [0, 1, 2, 3].flatMap((i) => [`large-${i}`, `small-${i}`]).sort(),
    );
    const letters = await west.read(full(`${topic}-dead-letter`));
    const order = letters.map(({ properties }) => properties['id']);
    const back = stored.filter(({ properties }) => properties['id']?.startsWith('large') === true);
    for (const partition of [0, 1]) {
      const here = back.filter((row) => row.partition === partition).map(({ properties }) => properties['id']);
      expect(here).toEqual([`large-${partition}`, `large-${partition + 2}`]);
      expect(here).toEqual(order.filter((id) => here.includes(id)));
    }
    for (const row of back) {
      expect(row).toMatchObject({ bodyLength: 90_000, key: 'k', properties: { KEYS: 'k' } });
      expect(Object.keys(row.properties).filter((name) => name.startsWith('ISTHMUS-'))).toEqual([]);
      expect(row.properties['ISTHMUS']).toMatch(new RegExp(`^1;rmq-east;${topic};broker-a:[01];\\d+;`));
    }
  });

  it('of a RocketMQ target are put back, too', async () => {
    const topic = `bad-${run}`;
    await west.createTopic(full(topic), 1);
    await west.send(full(topic), [
      { body: 'before', properties: { id: '1' } },
      { body: 'refused', key: 'k', properties: { id: '2', odd: 'a\u0001b' } },
      { body: 'after', properties: { id: '3' } },
    ]);
    await eventually('all is there or refused', async () => {
      const [stored, dead] = [await east.read(topic), await east.read(`${topic}-dead-letter`)];
      return stored.length === 2 && dead.length === 1;
    });
    const replayed = await replay(1, 'bad', {});
    expect(replayed).toMatchObject({ state: 'done', topics: [{ found: 1, replayed: 1 }] });
    const stored = await east.read(topic);
    expect(stored.map(({ properties }) => properties['id'])).toEqual(['1', '3', '2']);
    // What RocketMQ cannot hold is written so in the dead letter already.
    expect(stored[2]?.properties).toMatchObject({ odd: 'a%01b', __SHARDINGKEY: 'k' });
    expect((await replay(1, 'bad', {})).topics).toMatchObject([{ found: 0 }]);
    // It came from the west, and does not go back there.
    expect((await west.read(full(topic))).map(({ properties }) => properties['id'])).toEqual(['1', '2', '3']);
  });

  it('are not replayed of topics that the mirror has not', async () => {
    const answer = await replay(0, 'large', { topics: ['nowhere'] });
    expect(answer).toMatchObject({ state: 'failed', trouble: { code: 'NOT_FOUND' } });
    expect((await mirror.api('GET', `/v1/mirrors/${mirror.links[0]}/both/replay`)).status).toBe(404);
    expect((await mirror.api('POST', `/v1/mirrors/${mirror.links[0]}/large/replay`, { limit: 0 })).status).toBe(400);
  });
});

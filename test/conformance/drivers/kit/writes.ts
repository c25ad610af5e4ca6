/** What every writer does, whatever its driver offers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { comparePositions } from '../../../../src/model/position.ts';
import { batchOf, numbered, openTestWriter, type TestRecord } from '../../../kit/pulsar-writing.ts';
import { seqsOf, sha256, soon, upTo } from './reading.ts';
import type { Shore } from './shore.ts';
import { openBoth } from './under-test.ts';

const GRACE_MILLIS = 20_000;
const OTHER_LANE = { topic: 'orders', lane: 'broker-a:1' };

const STRANGE: readonly TestRecord[] = [
  {
    offset: 40,
    body: Buffer.from([0, 255, 1, 254, 10, 13, 2]),
    key: 'schlüssel-値',
    properties: [
      ['seq', '0'],
      ['note', 'grüße 🌍'],
    ],
  },
  {
    offset: 41,
    body: Buffer.alloc(70_000, 'large'),
    key: 'k',
    properties: [
      ['seq', '1'],
      ['long', 'x'.repeat(2_000)],
    ],
  },
  { offset: 43, body: 'no key', properties: [['seq', '2']] },
];

/** A record of this number among others that are numbered, without anything else to it. */
const plain = (offset: number): TestRecord => ({
  offset,
  key: 'k',
  body: `body ${offset}`,
  properties: [['seq', String(offset)]],
});

export function describeWrites(shore: Shore): void {
  describe('a writer', () => {
    storesInOrder(shore);
    if (shore.cluster.sink.fences) keepsOthersOut(shore);
    else stopsUnasked(shore);
  });
  describe('a sink', () => {
    it('gives each key one partition, whoever asks, and none to records without a key', async () => {
      const batch = batchOf([...upTo(200).map((n) => ({ ...plain(n), key: `key-${n}` })), { offset: 200, body: 'x' }]);
      const other = openBoth(shore.driver);
      const places = upTo(200).map((n) => shore.cluster.sink.partitionOf(batch, n, 4));
      expect(upTo(200).map((n) => other.sink.partitionOf(batch, n, 4))).toEqual(places);
      await other.close();
      const { choosesPartition } = shore.cluster.capabilities;
      expect([...new Set(places)].toSorted((a = -1, b = -1) => a - b)).toEqual(choosesPartition ? [0, 1, 2, 3] : [0]);
      expect(shore.cluster.sink.partitionOf(batch, 200, 4)).toBe(choosesPartition ? undefined : 0);
    });

    it('keeps what the target has refused as a dead letter, with the reason and its place', async () => {
      const { topic } = await shore.newTopic();
      const record = { ...plain(17), body: Buffer.from('refused') };
      await shore.cluster.sink.writeDeadLetter({
        topic,
        retentionMinutes: 60,
        reason: 'nobody wants it',
        sourceCluster: 'rmq-east',
        lane: OTHER_LANE,
        batch: batchOf([record]),
        i: 0,
      });
      const [letter] = await shore.world.see(topic, 1);
      expect(letter).toMatchObject({
        bodySha256: sha256(record.body),
        key: 'k',
        properties: {
          seq: '17',
          'ISTHMUS-DEAD-LETTER-REASON': 'nobody wants it',
          'ISTHMUS-DEAD-LETTER-CLUSTER': 'rmq-east',
          'ISTHMUS-DEAD-LETTER-TOPIC': OTHER_LANE.topic,
          'ISTHMUS-DEAD-LETTER-LANE': OTHER_LANE.lane,
          'ISTHMUS-DEAD-LETTER-POSITION': '17',
        },
      });
    });
  });
}

function storesInOrder(shore: Shore): void {
  const { choosesPartition } = shore.cluster.capabilities;

  it('stores a backlog in order, and tells of each record once, at ascending places', async () => {
    const { topic } = await shore.newTopic(3);
    const { writer, write, until, stored } = await openTestWriter(shore.cluster.sink, topic);
    await write(numbered(0, 600), 50);
    await soon(until(600), () => `${stored.length} batches were stored`);
    await writer.close(0);
    const told = stored.flatMap(({ runs }) => runs.flatMap(({ first, count }) => upTo(first.major + count, first.major)));
    expect(choosesPartition ? told : told.toSorted((a, b) => a - b)).toEqual(upTo(600));
    expect(stored.reduce((sum, { count }) => sum + count, 0)).toBe(600);
    expect(stored.every(({ partition, sourceStoreTime }) => partition === 0 && sourceStoreTime === 1_763_750_000_000)).toBe(true);
    const ascends = stored.every(({ target }, i) => i === 0 || comparePositions(stored[i - 1]?.target ?? target, target) < 0);
    expect(ascends || !choosesPartition).toBe(true);
    const seen = await shore.world.see(topic, 600);
    expect(seen).toHaveLength(600);
    const keys = choosesPartition ? [undefined] : [...new Set(seen.map(({ key }) => key))];
    for (const key of keys) {
      const seqs = seqsOf(key === undefined ? seen : seen.filter((each) => each.key === key));
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    }
  });

  it('stores body, key and properties byte by byte', async () => {
    const { topic } = await shore.newTopic();
    const { writer, write, until } = await openTestWriter(shore.cluster.sink, topic);
    await write(STRANGE);
    await soon(until(3), () => 'it was not stored');
    await writer.close(0);
    const seen = (await shore.world.see(topic, 3)).toSorted((a, b) => Number(a.properties['seq']) - Number(b.properties['seq']));
    const wanted = STRANGE.map(({ body, properties = [] }) => ({
      bodySha256: sha256(Buffer.from(body)),
      properties: Object.fromEntries(properties),
    }));
    expect(seen).toMatchObject(wanted);
    expect(seen.slice(0, 2).map(({ key }) => key)).toEqual(['schlüssel-値', 'k']);
  });

  it('writes the partition that it was opened for, beside those of other lanes', async () => {
    const { topic, lanes } = await shore.newTopic(2);
    const { sink } = shore.cluster;
    const one = await openTestWriter(sink, topic, { partition: 1 });
    const other = await openTestWriter(sink, topic, { partition: 1, lane: OTHER_LANE });
    await one.write(upTo(5).map(plain));
    await other.write(upTo(10, 5).map(plain));
    await soon(Promise.all([one.until(5), other.until(5)]), () => 'not all was stored');
    await Promise.all([one.writer.close(0), other.writer.close(0)]);
    expect([...one.stored, ...other.stored].every(({ partition }) => partition === 1)).toBe(true);
    const seen = await shore.world.see(topic, 10);
    expect(seqsOf(seen).toSorted((a, b) => a - b)).toEqual(upTo(10));
    expect(seen.every(({ lane }) => lane === lanes[1]?.lane) || !choosesPartition).toBe(true);
  });

  it('says why the cluster cannot hold a record, and stores the next', async () => {
    const { topic } = await shore.newTopic();
    const { writer, write, until } = await openTestWriter(shore.cluster.sink, topic);
    expect(writer.append(batchOf([shore.driver.unfit]), 0)).toEqual({ refused: expect.stringMatching(/\w{3}/) as string });
    await write([plain(7)]);
    await soon(until(1), () => 'it was not stored');
    await writer.close(0);
    expect(seqsOf(await shore.world.see(topic, 1))).toEqual([7]);
  });

  it('stores what it has sent before it closes, and tells nothing any more after', async () => {
    const { topic } = await shore.newTopic();
    const { writer, write, stored, failures } = await openTestWriter(shore.cluster.sink, topic);
    await write(upTo(40).map(plain));
    // What is still open when it closes is dropped: some send only when what is on its way has been answered.
    await expect.poll(() => writer.open(), { timeout: GRACE_MILLIS }).toBe(0);
    await writer.close(GRACE_MILLIS);
    const told = stored.length;
    expect(stored.reduce((sum, { count }) => sum + count, 0)).toBe(40);
    expect(writer.append(batchOf([plain(40)]), 0)).toBe('full');
    await expect(writer.ready()).rejects.toMatchObject({ code: 'CLOSED' });
    await writer.close(0);
    await sleep(100);
    expect([stored.length, failures]).toEqual([told, []]);
    expect(seqsOf(await shore.world.see(topic, 40))).toEqual(upTo(40));
  });

  it('that is given no time to close leaves what it had not sent, and is no failure', async () => {
    const { topic } = await shore.newTopic();
    const { writer, failures } = await openTestWriter(shore.cluster.sink, topic);
    const batch = batchOf(upTo(100).map(plain));
    for (const n of upTo(100)) writer.append(batch, n);
    await soon(writer.close(0), () => 'it does not close');
    await sleep(100);
    expect(failures).toEqual([]);
  });
}

function keepsOthersOut(shore: Shore): void {
  it('keeps a second writer of its lane out, also of another process, until it is closed', async () => {
    const { topic } = await shore.newTopic();
    const first = await openTestWriter(shore.cluster.sink, topic);
    const other = openBoth(shore.driver);
    const troubles: unknown[] = [];
    const opening = openTestWriter(other.sink, topic, {
      onTrouble: (error) => void (error === undefined ? undefined : troubles.push(Reflect.get(error, 'code'))),
    });
    await expect.poll(() => troubles, { timeout: 20_000 }).toContain('OTHER_WRITER');
    await first.write(upTo(3).map(plain));
    await soon(first.until(3), () => 'the first was disturbed');
    await first.writer.close(0);
    const second = await soon(opening, () => 'the second does not open');
    await second.write(upTo(6, 3).map(plain));
    await soon(second.until(3), () => 'the second does not write');
    await second.writer.close(0);
    await other.close();
    expect(seqsOf(await shore.world.see(topic, 6))).toEqual(upTo(6));
  });
}

/** Where a lease has to. */
function stopsUnasked(shore: Shore): void {
  it('sends nothing when it is told that it may not write any more, and gives up with OTHER_WRITER', async () => {
    const { topic } = await shore.newTopic();
    let mayWrite = true;
    const { writer, write, until, stored, failures } = await openTestWriter(shore.cluster.sink, topic, {
      mayWrite: () => mayWrite,
    });
    await write(upTo(3).map(plain));
    await soon(until(3), () => 'it was not stored');
    mayWrite = false;
    const told = stored.length;
    await write(upTo(6, 3).map(plain));
    await expect.poll(() => failures.map(({ code }) => code), { timeout: 10_000 }).toEqual(['OTHER_WRITER']);
    await expect(writer.ready()).rejects.toMatchObject({ code: 'OTHER_WRITER' });
    await writer.close(0);
    expect(stored).toHaveLength(told);
    expect(seqsOf(await shore.world.see(topic, 3))).toEqual(upTo(3));
  });
}

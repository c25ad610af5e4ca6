import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schemaReader } from '../../../src/drivers/pulsar/net/schemas.ts';
import { entryPosition } from '../../../src/model/position.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';
import type { DeadLetter } from '../../../src/spi/sink.ts';
import { passAll, wholeBatch } from '../../kit/pulsar-entries.ts';
import type { PulsarRow } from '../../kit/pulsar-eyes.ts';
import { consumersOf, type PulsarPair, pulsarAdmin, pulsarPair, restPath } from '../../kit/pulsar-pair.ts';
import { batchOf, type LogLine, openTestCluster, type TestRecord } from '../../kit/pulsar-writing.ts';

let pair: PulsarPair;

beforeAll(async () => {
  pair = await pulsarPair();
});

afterAll(async () => {
  await pair.close();
});

describe('schemas', () => {
  const avro = (...names: string[]): unknown => ({
    type: 'AVRO',
    schema: JSON.stringify({
      type: 'record',
      name: 'Order',
      fields: names.map((name) => ({ name, type: ['null', 'string'], default: null })),
    }),
    properties: {},
  });
  const register = async (adminUrl: string, topic: string, schema: unknown): Promise<unknown> =>
    await pulsarAdmin('POST', `${adminUrl}/admin/v2/schemas/${restPath(topic)}/schema`, schema);
  const schemaOf = async (adminUrl: string, topic: string, versionHex: string | null | undefined): Promise<unknown> => {
    const version = Number.parseInt(versionHex ?? 'none', 16);
    const answer = await pulsarAdmin('GET', `${adminUrl}/admin/v2/schemas/${restPath(topic)}/schema/${version}`);
    return typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : answer;
  };

  async function topicWithSchemas(): Promise<string> {
    const topic = await pair.newTopic();
    await register(pair.source.adminUrl, topic, avro('a'));
    await pair.east.send(topic, [{ bodyHex: '00' }], { schema: true });
    await register(pair.source.adminUrl, topic, avro('a', 'b'));
    await pair.east.send(topic, [{ bodyHex: '0000' }, { bodyHex: '0000' }], { schema: true, batch: true });
    return topic;
  }

  it('are registered at the target in the same order, and entries name the versions there', async () => {
    const topic = await topicWithSchemas();
    // So that versions have other numbers there.
    await register(pair.target.adminUrl, topic, avro('z'));
    const { before, after } = await pair.pass(topic, { schemas: schemaReader(pair.entries.pool, topic) });
    expect(before.map(({ schemaVersionHex }) => Number.parseInt(schemaVersionHex ?? '', 16))).toEqual([0, 1, 1]);
    expect(after.map(({ schemaVersionHex }) => Number.parseInt(schemaVersionHex ?? '', 16))).toEqual([1, 2, 2]);
    for (const [k, row] of after.entries()) {
      expect(await schemaOf(pair.target.adminUrl, topic, row.schemaVersionHex)).toEqual(
        await schemaOf(pair.source.adminUrl, topic, before[k]?.schemaVersionHex),
      );
    }
  });

  it('of records begin a batch of their own, and stand on it', async () => {
    const topic = await topicWithSchemas();
    const { writer, write, until } = await pair.openWriter(topic, { schemas: schemaReader(pair.entries.pool, topic) });
    const record = (k: number, version: number | undefined): TestRecord => {
      const schemaVersion = version === undefined ? {} : { schemaVersion: Buffer.from([0, 0, 0, 0, 0, 0, 0, version]) };
      return { offset: 0, position: entryPosition(812, 4, k), body: 'b', ...schemaVersion };
    };
    await write([record(0, 0), record(1, 0), record(2, 1), record(3, undefined), record(4, 1)]);
    await until(5);
    await writer.close(0);
    const rows = await pair.west.read(topic);
    expect(rows.map(({ schemaVersionHex, batchSize }) => [schemaVersionHex, batchSize])).toEqual([
      ['0000000000000000', 2],
      ['0000000000000000', 2],
      ['0000000000000001', 1],
      [null, 1],
      ['0000000000000001', 1],
    ]);
  });

  it('that the target does not take make its entries refused', async () => {
    const topic = await topicWithSchemas();
    await register(pair.target.adminUrl, topic, { type: 'STRING', schema: '', properties: {} });
    const { writer, failures } = await pair.openWriter(topic, { schemas: schemaReader(pair.entries.pool, topic) });
    const stored = await pair.entries.read(`${topic}-partition-0`);
    await expect(passAll(writer, stored)).rejects.toThrow('IncompatibleSchema');
    expect(failures).toEqual([]);
    await writer.close(0);
  });

  it('that the source does not have any more, or that nobody can be asked for, are left out', async () => {
    const topic = await topicWithSchemas();
    const { after } = await pair.pass(topic);
    expect(after.map(({ schemaVersionHex }) => schemaVersionHex)).toEqual([null, null, null]);
    const other = await topicWithSchemas();
    const missing = await pair.pass(other, { schemas: { schemaOf: async () => await Promise.resolve(undefined) } });
    expect(missing.after.map(({ schemaVersionHex }) => schemaVersionHex)).toEqual([null, null, null]);
  });
});

describe('records of a Pulsar that are put together anew', () => {
  const records: TestRecord[] = [
    { offset: 0, position: entryPosition(5, 1, 0), key: 'text', body: 'a', eventTime: 7, sequence: 70, properties: [['p', 'q']] },
    {
      offset: 0,
      position: entryPosition(5, 1, 1),
      key: 'AP8=',
      keyIsBase64: true,
      orderingKey: Buffer.from('abcd', 'hex'),
      body: 'b',
      sequence: 71,
    },
    { offset: 0, position: entryPosition(5, 2), key: 'gone', nullValue: true, body: '' },
    {
      offset: 0,
      position: entryPosition(5, 3),
      key: 'text',
      body: '',
      mark: '1;pulsar-north;orders;3;7:8:1;mhx3k2a0;pulsar-east',
    },
  ];

  it.each(['mixed', 'per-key'] as const)(
    'keep kinds of keys, ordering keys, ids, times, and that they have no value: %s',
    async (batching) => {
      const topic = await pair.newTopic();
      const { writer, write, until } = await pair.openWriter(topic, { batching });
      await write(records);
      await until(records.length);
      await writer.close(0);
      const rows = await pair.west.read(topic);
      const facts = (row: PulsarRow): unknown[] => [
        row.key,
        row.keyIsBase64,
        row.orderingKeyHex,
        row.sequenceId,
        row.eventTime,
        row.nullValue,
        row.bodyLength,
      ];
      // A sequence id that a record has not is made up from the entry's by the client.
      const byKey = new Map(rows.map((row) => [`${row.key}/${row.bodyLength}`, facts(row)]));
      expect(byKey.get('text/1')).toEqual(['text', false, null, 70, 7, false, 1]);
      expect(byKey.get('AP8=/1')).toEqual(['AP8=', true, 'abcd', 71, 0, false, 1]);
      expect(byKey.get('gone/0')?.slice(0, 3)).toEqual(['gone', false, null]);
      expect(byKey.get('gone/0')?.[5]).toBe(true);
      const foreign = rows.find((row) => row.properties['ISTHMUS'] !== undefined);
      expect(foreign?.properties['ISTHMUS']).toBe('1;pulsar-north;orders;3;7:8:1;mhx3k2a0;pulsar-east');
      expect(new Map(foreign?.entry.properties).get('ISTHMUS-INNER')).toBe('1');
      expect((await pair.storedPlaces(topic)).join().split(',').sort()).toEqual(
        batching === 'mixed' ? ['5:1:0+2', '5:2+2'] : ['5:1:0', '5:1:1', '5:2', '5:3'],
      );
    },
  );

  it('reach each Key_Shared consumer by their ordering keys, in order', async () => {
    const topic = await pair.newTopic();
    const consuming = pair.west.consume(topic, {
      subscription: 'shared',
      type: 'Key_Shared',
      consumers: 3,
      expect: 1000,
      quietMs: 60_000,
    });
    await expect.poll(async () => await consumersOf(pair.target.adminUrl, `${topic}-partition-0`), { timeout: 60_000 }).toBe(3);
    const { writer, write, until } = await pair.openWriter(topic, { batching: 'per-key' });
    const many = Array.from({ length: 1000 }, (_, k): TestRecord => {
      const orderingKey = Buffer.from(`o-${k % 10}`);
      return {
        offset: 0,
        position: entryPosition(5, k),
        key: `key-${k}`,
        orderingKey,
        body: 'b',
        properties: [['seq', String(k)]],
      };
    });
    await write(many, 250);
    await until(1000);
    await writer.close(0);
    const rows = await consuming;
    expect(rows).toHaveLength(1000);
    const takersOf = new Map<number, Set<number>>();
    const seqsOf = new Map<number, number[]>();
    for (const { consumer, id } of rows) {
      const group = Number(id) % 10;
      takersOf.set(group, (takersOf.get(group) ?? new Set()).add(consumer));
      seqsOf.set(group, [...(seqsOf.get(group) ?? []), Number(id)]);
    }
    expect([...takersOf.values()].map((each) => each.size)).toEqual(Array(10).fill(1));
    for (const seqs of seqsOf.values()) expect(seqs).toEqual(seqs.toSorted((x, y) => x - y));
  });
});

describe('a dead letter', () => {
  const letter = (batch: RecordBatch, topic: string): DeadLetter => ({
    topic: `${topic}-dead-letter`,
    reason: 'nobody wants it',
    retentionMinutes: 60,
    sourceCluster: 'pulsar-east',
    lane: { topic, lane: '0' },
    batch,
    i: 0,
  });

  it('of a Pulsar record keeps its keys, and that it has no value, and says which schema it had', async () => {
    const topic = await pair.newTopic();
    const kept = { orderingKey: Buffer.from('abcd', 'hex'), schemaVersion: Buffer.from('0000000000000003', 'hex') };
    const record: TestRecord = {
      offset: 0,
      position: entryPosition(5, 1, 7),
      key: 'AP8=',
      keyIsBase64: true,
      nullValue: true,
      body: '',
    };
    await pair.cluster.sink.writeDeadLetter(letter(batchOf([{ ...record, ...kept }]), topic));
    const [row] = await pair.west.read(`${topic}-dead-letter`);
    expect(row).toMatchObject({
      key: 'AP8=',
      keyIsBase64: true,
      orderingKeyHex: 'abcd',
      nullValue: true,
      schemaVersionHex: null,
    });
    expect(row?.properties).toMatchObject({
      'ISTHMUS-DEAD-LETTER-POSITION': '5:1:7',
      'ISTHMUS-DEAD-LETTER-SCHEMA-VERSION': '0000000000000003',
    });
  });

  it('of a whole entry is that entry, byte by byte', async () => {
    const topic = await pair.newTopic();
    await pair.east.send(topic, [{ body: 'a' }, { body: 'b' }], { batch: true, compression: 'LZ4' });
    const stored = await pair.entries.read(`${topic}-partition-0`);
    await pair.cluster.sink.writeDeadLetter(letter(wholeBatch(stored), topic));
    const [row] = await pair.west.read(`${topic}-dead-letter`);
    expect(row?.bodyHex).toBe(stored[0]?.bytes.toString('hex'));
    expect(row?.properties).toMatchObject({
      'ISTHMUS-DEAD-LETTER-FORM': 'pulsar-entry',
      'ISTHMUS-DEAD-LETTER-POSITION': `${stored[0]?.ledger}:${stored[0]?.entry}`,
    });
  });

  it('is stored once on a broker that deduplicates, also when another one of the same ledger was before it', async () => {
    const namespace = `public/dead-${randomUUID()}`;
    for (const { adminUrl } of [pair.source, pair.target])
      await pulsarAdmin('PUT', `${adminUrl}/admin/v2/namespaces/${namespace}`, {});
    await pulsarAdmin('POST', `${pair.target.adminUrl}/admin/v2/namespaces/${namespace}/deduplication`, true);
    const topic = await pair.newTopic(namespace);
    const lines: LogLine[] = [];
    const cluster = openTestCluster(pair.target, {}, lines);
    for (const position of [entryPosition(5, 9), entryPosition(5, 9, 1), entryPosition(5, 2)])
      await cluster.sink.writeDeadLetter(letter(batchOf([{ offset: 0, position, body: 'bad' }]), topic));
    await cluster.close();
    expect(lines.filter(({ event }) => event === 'dead-letter-retried')).toEqual([]);
    const rows = await pair.west.read(`${topic}-dead-letter`);
    expect(rows.map(({ properties }) => properties['ISTHMUS-DEAD-LETTER-POSITION'])).toEqual(['5:9', '5:9:1', '5:2']);
  });
});

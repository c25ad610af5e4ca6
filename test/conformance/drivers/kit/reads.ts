/** What every reader does, whatever its driver offers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import { comparePositions } from '../../../../src/model/position.ts';
import type { RecordBatch } from '../../../../src/model/record-batch.ts';
import type { LaneReader } from '../../../../src/spi/source.ts';
import { numberedMessages, recordOf, seqsOf, sha256, soon, upTo } from './reading.ts';
import type { Shore } from './shore.ts';
import type { AppMessage } from './under-test.ts';

const KIB = 1024;
/** Long enough for a reader to have read all that it may. */
const SETTLE_MILLIS = 1_000;

const STRANGE: readonly AppMessage[] = [
  {
    body: Buffer.from([0, 255, 1, 254, 10, 13, 2]),
    key: 'schlüssel-値',
    properties: { seq: '0', note: 'grüße 🌍', amount: '12' },
  },
  { body: Buffer.alloc(70_000, 'large'), key: 'k', properties: { seq: '1', long: 'x'.repeat(2_000) } },
  { body: Buffer.from('no key'), properties: { seq: '2' } },
];

const byNumber = (a: number, b: number): number => a - b;

/** Reads a batch, which the caller releases. */
async function nextBatch(reader: LaneReader): Promise<RecordBatch> {
  const delivery = await soon(reader.read(), () => 'nothing came');
  if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
  return delivery.batch;
}

export function describeReads(shore: Shore): void {
  const { exactPositions } = shore.cluster.capabilities;

  describe('a reader', () => {
    it('gives every record once, each at a later position than the one before', async () => {
      const { topic, lane, group } = await shore.newTopic();
      const reader = await shore.read(lane, { group });
      await shore.world.send(topic, 0, numberedMessages(0, 150));
      const records = await reader.take(150);
      expect(exactPositions ? seqsOf(records) : seqsOf(records).sort(byNumber)).toEqual(upTo(150));
      for (const [i, { position }] of records.entries()) {
        const before = records[i - 1]?.position;
        expect(before === undefined || comparePositions(shore.cluster.source.next(before), position) <= 0).toBe(true);
      }
      await sleep(100);
      expect(reader.reader.poll()).toBeUndefined();
      await reader.close();
    });

    it('gives body, key and properties byte by byte', async () => {
      const { topic, lane, group } = await shore.newTopic();
      await shore.world.send(topic, 0, STRANGE);
      const reader = await shore.read(lane, { group });
      const records = (await reader.take(3)).toSorted((a, b) => Number(a.properties['seq']) - Number(b.properties['seq']));
      expect(records).toMatchObject(STRANGE.map(({ body, key, properties }) => ({ bodySha256: sha256(body), key, properties })));
      await reader.close();
    });

    it('waits at the end, and gives what comes then', async () => {
      const { topic, lane, group } = await shore.newTopic();
      const reader = await shore.read(lane, { group });
      const next = nextBatch(reader.reader);
      await shore.world.send(topic, 0, numberedMessages(0, 1));
      const batch = await next;
      expect([batch.count, recordOf(batch, 0).properties]).toMatchObject([1, { seq: '0' }]);
      batch.release();
      await reader.close();
    });

    it('ends a waiting read with CLOSED when it is closed, and every later one; closing twice does no harm', async () => {
      const { lane, group } = await shore.newTopic();
      const { reader } = await shore.read(lane, { group });
      const waiting = reader.read().catch((error: unknown) => error);
      await reader.close();
      expect(await waiting).toMatchObject({ code: 'CLOSED' });
      await expect(reader.read()).rejects.toMatchObject({ code: 'CLOSED' });
      expect(reader.poll()).toBeUndefined();
      await reader.close();
    });

    it('reads no further ahead than its budget allows, and goes on as batches are given back', async () => {
      const { topic, lane, group } = await shore.newTopic();
      await shore.world.send(topic, 0, numberedMessages(0, 200, 20 * KIB));
      const budget = new ByteBudget(1024 * KIB);
      const reader = await shore.read(lane, { group, budget });
      await expect.poll(() => budget.usedBytes, { timeout: 20_000 }).toBeGreaterThan(0);
      await sleep(SETTLE_MILLIS);
      // What was asked for before the size of records was known may be larger than thought: as many answers of a broker as pulls overlap by then.
      expect(budget.usedBytes).toBeLessThanOrEqual(budget.limitBytes + 6 * 256 * KIB);
      expect(seqsOf(await reader.take(200)).sort(byNumber)).toEqual(upTo(200));
      await reader.close();
      expect(budget.usedBytes).toBe(0);
    });

    it('closes also while it waits for room; the batch that fills it stays as it is until it is given back', async () => {
      const { topic, lane, group } = await shore.newTopic();
      const messages = numberedMessages(0, 60, 20 * KIB);
      await shore.world.send(topic, 0, messages);
      const budget = new ByteBudget(KIB);
      const { reader } = await shore.read(lane, { group, budget });
      const batch = await nextBatch(reader);
      await sleep(SETTLE_MILLIS);
      await soon(reader.close(), () => 'it does not close');
      const { properties, bodySha256 } = recordOf(batch, 0);
      expect(bodySha256).toBe(sha256(messages[Number(properties['seq'])]?.body ?? Buffer.alloc(0)));
      batch.release();
      expect(budget.usedBytes).toBe(0);
    });
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { RequestCode, ResponseCode } from '../../../../src/drivers/rocketmq/wire/codes.ts';
import { offsetPosition } from '../../../../src/model/position.ts';
import type { RecordBatch } from '../../../../src/model/record-batch.ts';
import { FakeBroker, type Reply } from './fake-broker.ts';
import { type Opened, openCluster } from './kit.ts';

const MESSAGES = 1_000;

/** A seeded source of chance (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What a bad day does to pulls: lost connections, busy brokers, slow and short answers. */
function misbehave(broker: FakeBroker, random: () => number): void {
  broker.intercept = ({ code }): Reply | undefined => {
    if (code !== RequestCode.PULL_MESSAGE) return undefined;
    broker.maxPerPull = 1 + Math.floor(random() * 60);
    broker.delayMillis = random() < 0.3 ? random() * 3 : 0;
    const dice = random();
    if (dice < 0.01) broker.disconnectAll();
    else if (dice < 0.02) return { code: ResponseCode.SYSTEM_BUSY };
    else if (dice < 0.03) return { code: ResponseCode.NOT_LEADER_FOR_QUEUE };
    return undefined;
  };
}

async function produceInBursts(broker: FakeBroker, random: () => number): Promise<void> {
  while (broker.maxOffset < MESSAGES) {
    const size = Math.floor(random() * 400);
    broker.produce(Math.min(1 + Math.floor(random() * 200), MESSAGES - broker.maxOffset), () => ({ body: 'b'.repeat(size) }));
    if (random() < 0.5) broker.expire(Math.floor(random() * 30));
    await sleep(random() * 4);
  }
}

/** Reads all, keeping some batches for a while. Returns the stretches that came, records and gaps alike. */
async function readAll(opened: Opened, random: () => number): Promise<{ from: number; to: number; gap: boolean }[]> {
  const reader = await opened.open(0);
  const stretches: { from: number; to: number; gap: boolean }[] = [];
  const held: RecordBatch[] = [];
  while ((stretches.at(-1)?.to ?? 0) < MESSAGES) {
    let delivery = reader.poll();
    if (delivery === undefined) {
      // What is held is stored by and by, whether or not more can be read.
      for (const batch of held.splice(0)) batch.release();
      delivery = await reader.read();
    }
    if (delivery.kind === 'gap') {
      stretches.push({ from: delivery.from.major, to: delivery.to.major, gap: true });
      continue;
    }
    const { batch } = delivery;
    for (let i = 1; i < batch.count; i++) expect(batch.major[i]).toBe((batch.major[i - 1] ?? 0) + 1);
    stretches.push({ from: batch.major[0] ?? -1, to: (batch.major[batch.count - 1] ?? -1) + 1, gap: false });
    held.push(batch);
    while (held.length > random() * 6) held.shift()?.release();
    if (random() < 0.05) await sleep(2);
  }
  await reader.commit(offsetPosition(MESSAGES));
  await reader.close();
  for (const batch of held) batch.release();
  return stretches;
}

describe('a lane reader on a bad day', () => {
  it.each(Array.from({ length: 25 }, (_, i) => i + 1))(
    'delivers each offset once, as a record or in a gap, and gives every byte back (seed %d)',
    async (seed) => {
      const random = chance(seed);
      const broker = await new FakeBroker().start();
      misbehave(broker, random);
      const opened = openCluster([broker.address], 30_000 + Math.floor(random() * 300_000));
      const [stretches] = await Promise.all([readAll(opened, random), produceInBursts(broker, random)]);
      expect(stretches[0]?.from).toBe(0);
      for (let i = 1; i < stretches.length; i++) expect(stretches[i]?.from).toBe(stretches[i - 1]?.to);
      // Gaps are only what had expired.
      for (const { to, gap } of stretches) expect(!gap || to <= broker.minOffset).toBe(true);
      expect(opened.budget.usedBytes).toBe(0);
      await opened.cluster.close();
      await broker.close();
    },
  );
});

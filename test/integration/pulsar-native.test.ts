import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { openPulsarNative } from '../../src/drivers/pulsar/native/driver.ts';
import { loadFromNpm, loadPulsarModule } from '../../src/drivers/pulsar/native/module.ts';
import { ByteBudget } from '../../src/lib/byte-budget.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { formatPosition } from '../../src/model/position.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { RecordBatch } from '../../src/model/record-batch.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import { pulsarEndpoints, startBrokers, testOffset } from '../kit/brokers.ts';
import { makeLog } from '../simulation/process.ts';

const deps = { clock: systemClock, log: makeLog(() => undefined), random: Math.random, marks: plainMarks };
const LANE = { topic: 'orders', lane: 'b:0' };
const RECORDS = 50;

const isInstalled = await loadPulsarModule(loadFromNpm).then(
  () => true,
  () => false,
);

function open(serviceUrl: string, adminUrl: string): Cluster {
  const rest = { auth: undefined, tls: undefined, listenerName: undefined, inFlightBytes: 2 ** 24 };
  return openPulsarNative('west', { serviceUrl, adminUrl, ...rest }, deps);
}

/** Writes records, reads their marks and then themselves back. */
async function roundTrip({ admin, sink, source }: Cluster): Promise<void> {
  if (sink === undefined || source === undefined) throw new Error('the driver is half a driver');
  const topic = `persistent://public/default/native-${randomUUID()}`;
  await admin.ensureTopic(topic, 1, { retentionMinutes: 60 });
  const options = {
    topic,
    partition: 0,
    sourceCluster: 'east',
    lane: LANE,
    link: 'link',
    batching: 'auto',
    compression: 'lz4',
  } as const;
  const targets: string[] = [];
  const writer = await sink.openWriter({
    ...options,
    signal: new AbortController().signal,
    onStored: ({ target }) => targets.push(formatPosition(target)),
    onFailed: (error) => targets.push(error.code),
    onTrouble: () => undefined,
  });
  const batch = new RecordBatch(RECORDS);
  batch.bytes = Buffer.from('ab'.repeat(RECORDS));
  batch.count = RECORDS;
  for (let i = 0; i < RECORDS; i++) {
    batch.major[i] = i;
    batch.keyStart[i] = batch.keyEnd[i] = -1;
    [batch.bodyStart[i], batch.bodyEnd[i]] = [2 * i, 2 * i + 2];
    expect(writer.append(batch, i)).toBe('taken');
  }
  await writer.close(30_000);
  expect(targets).toHaveLength(RECORDS);
  const marks: number[] = [];
  await sink.scan(topic, 0, undefined, 1_000, ({ provenance }) => marks.push(provenance.runs[0]?.first.major ?? -1));
  expect(marks).toEqual(Array.from({ length: RECORDS }, (_, i) => i));
  const lane = { topic, lane: '0' };
  const from = await source.resolveStart(lane, { kind: 'earliest' });
  const budget = new ByteBudget(2 ** 24);
  const reader = await source.openLane(lane, from, { group: 'native', budget, onTrouble: () => undefined });
  const read: string[] = [];
  while (read.length < RECORDS) {
    const delivery = await reader.read();
    if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
    for (let i = 0; i < delivery.batch.count; i++) read.push(formatPosition(delivery.batch.positionAt(i)));
    delivery.batch.release();
  }
  await reader.close();
  expect(read).toEqual(targets);
}

async function againstBrokers(): Promise<void> {
  const brokers = await startBrokers(['pulsar-west']);
  const { serviceUrl, adminUrl } = pulsarEndpoints('pulsar-west', testOffset);
  const cluster = open(serviceUrl, adminUrl);
  try {
    await roundTrip(cluster);
  } finally {
    await cluster.close();
    await brokers.stop();
  }
}

async function withoutPackage(): Promise<void> {
  const cluster = open('pulsar://127.0.0.1:1', 'http://127.0.0.1:1');
  const items = await cluster.admin.check({ reads: [], writes: [] });
  await cluster.close();
  const client = items.find(({ what }) => what === 'official client');
  expect(client?.ok).toBe(false);
  expect(client?.detail).toContain('npm install pulsar-client');
}

const what = isInstalled
  ? 'writes a lane, finds its marks, and reads it back in order'
  : 'is named with how to get it, being missing here (so nothing else can be tried)';

it(`the official client ${what}`, async () => {
  expect.hasAssertions();
  await (isInstalled ? againstBrokers() : withoutPackage());
});

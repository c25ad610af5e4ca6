/** Pulsar to Pulsar beside Pulsar's own geo-replication: time until all is there, and CPU of both brokers and the replicator together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type PulsarName, pulsarEndpoints } from '../brokers/table.ts';
import { type Bed, queues } from './bed.ts';
import type { Case } from './directions.ts';
import { watchFlow } from './flow.ts';
import { startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';
import { median, rounded } from './statistics.ts';

export type GeoSide = {
  /** From the first message produced until all are on the target. */
  readonly seconds: number | null;
  /** From the last message acknowledged at the source until all are on the target. */
  readonly after_last_s: number | null;
  /** Of both brokers and the replicator, producing included. */
  readonly cpu_s: number | null;
};

export type Geo = { readonly case: string; readonly ours: GeoSide; readonly brokers_own: GeoSide };

const clusters: readonly PulsarName[] = ['pulsar-east', 'pulsar-west'];
const namespace = 'public/bench-geo';

/** Both in turn. The same messages are produced as fast as possible, while they are already replicated. */
export async function measureGeo(bed: Bed, wanted: Case, runs: number): Promise<Geo> {
  await replicateNamespace(bed.offset);
  const own: GeoSide[] = [];
  const ours: GeoSide[] = [];
  for (let i = 0; i < runs; i++) {
    const sides = [
      async () => void own.push(await brokersOwn(bed, wanted)),
      async () => void ours.push(await throughIsthmus(bed, wanted)),
    ];
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) await side();
    bed.report(`  geo-replication ${describe(own.at(-1))}; ours ${describe(ours.at(-1))}`);
  }
  return { case: wanted.name, ours: middle(ours), brokers_own: middle(own) };
}

function describe(side: GeoSide | undefined): string {
  return `${side?.seconds?.toFixed(1)} s, ${side?.after_last_s?.toFixed(1)} s after the last, ${side?.cpu_s?.toFixed(1)} s of CPU`;
}

function middle(sides: readonly GeoSide[]): GeoSide {
  const of = (pick: (side: GeoSide) => number | null): number | null => rounded(median(sides.map(pick)), 2);
  return { seconds: of((side) => side.seconds), after_last_s: of((side) => side.after_last_s), cpu_s: of((side) => side.cpu_s) };
}

/** Makes the clusters known to each other, and a namespace whose topics they replicate. */
async function replicateNamespace(offset: number): Promise<void> {
  for (const here of clusters) {
    const { adminUrl } = pulsarEndpoints(here, offset);
    for (const other of clusters.filter((name) => name !== here)) {
      const { adminUrl: serviceUrl, serviceUrl: brokerServiceUrl } = pulsarEndpoints(other, offset);
      await put(adminUrl, `clusters/${other}`, { serviceUrl, brokerServiceUrl });
    }
    await put(adminUrl, 'tenants/public', { adminRoles: [], allowedClusters: clusters }, 'POST');
    await put(adminUrl, `namespaces/${namespace}`, { replication_clusters: clusters });
  }
}

/** What is there already stays. */
async function put(adminUrl: string, path: string, body: unknown, method = 'PUT'): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${adminUrl}/admin/v2/${path}`, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok && answer.status !== 409) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

async function brokersOwn(bed: Bed, wanted: Case): Promise<GeoSide> {
  const topic = `persistent://${namespace}/geo-${Date.now()}`;
  const [east, west] = clusters.map((name) => bed.eyes.pulsar(pulsarEndpoints(name, bed.offset)));
  if (east === undefined || west === undefined) throw new Error('two clusters are needed');
  await east.createTopic(topic, queues);
  // The brokers may have made it there by themselves.
  await west.createTopic(topic, queues).catch(() => undefined);
  const target = { messagesIn: async (name: string) => await west.messagesIn(name).catch(() => 0) };
  const load = async (): Promise<unknown> => await east.load(topic, loadOf(wanted));
  try {
    return await timed(bed, undefined, load, async () => {
      await watchFlow(target, topic, wanted.count, () => undefined, bed.report);
    });
  } finally {
    await east.deleteTopic(topic).catch(() => undefined);
    await west.deleteTopic(topic).catch(() => undefined);
  }
}

async function throughIsthmus(bed: Bed, wanted: Case): Promise<GeoSide> {
  const topic = `bench-geo-${Date.now()}`;
  const copy = `${topic}-copy`;
  await bed.source.createTopic(topic, queues);
  await bed.target.createTopic(copy, queues);
  const isthmus = await startIsthmus(bed, { topics: { [topic]: copy }, windows: false });
  const load = async (): Promise<unknown> => await bed.source.load(topic, loadOf(wanted));
  try {
    // Its start is not what is measured: the brokers' own replicators stand ready as well.
    await sleep(5_000);
    return await timed(bed, isthmus.pid, load, async () => {
      await watchFlow(bed.target, copy, wanted.count, isthmus.assertRunning, bed.report);
    });
  } finally {
    await isthmus.stop();
    await bed.target.deleteTopic(copy);
    await bed.source.deleteTopic(topic);
  }
}

function loadOf({ count, size, batch }: Case): { count: number; size: number; batch: number; keys: number } {
  return { count, size, batch, keys: 10_000 };
}

async function timed(
  bed: Bed,
  replicator: number | undefined,
  load: () => Promise<unknown>,
  arrived: () => Promise<void>,
): Promise<GeoSide> {
  const pids = (await Promise.all(clusters.map(async (name) => await bed.pidOf(name)))).filter((pid) => pid !== undefined);
  const cpu = (): number | null => {
    const costs = [...pids, ...(replicator === undefined ? [] : [replicator])].map((pid) => costOf(pid).cpuSeconds);
    return costs.some((cost) => cost === null) ? null : costs.reduce<number>((sum, cost) => sum + (cost ?? 0), 0);
  };
  const before = cpu();
  const began = performance.now();
  let lastAt = began;
  const loading = load().then(() => {
    lastAt = performance.now();
  });
  await Promise.all([loading, arrived()]);
  const ended = performance.now();
  const after = cpu();
  return {
    seconds: (ended - began) / 1000,
    after_last_s: (ended - lastAt) / 1000,
    cpu_s: before === null || after === null ? null : after - before,
  };
}

import { toIsthmusError } from '../../../errors.ts';
import type { CheckItem } from '../../../spi/cluster.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { openProducer } from '../net/producer.ts';
import type { PulsarDeps } from '../options.ts';
import { parseTopicName, partitionTopic, topicNameProblem } from '../topic-name.ts';
import type { Rest } from './rest.ts';
import { partitionsOf, retentionMinutesOf, topicPath } from './topics.ts';

/** Tries what a mirror into this cluster needs, one line each. */
export async function checkCluster(
  topics: readonly string[],
  rest: Rest,
  pool: BrokerPool,
  deps: PulsarDeps,
): Promise<CheckItem[]> {
  const items = [
    await attempt('service URL', async () => {
      const broker = await pool.service();
      const mebibytes = (broker.info.maxMessageBytes / 2 ** 20).toFixed(1);
      return `${broker.info.serverVersion} at ${broker.address}, protocol ${broker.info.protocolVersion}, messages up to ${mebibytes} MiB`;
    }),
    await attempt('admin URL', async () => {
      const answer = await rest.send('GET', '/brokers/version');
      rest.expectSuccess(answer, 'asking for the version');
      return `Pulsar ${answer.body.trim()}`;
    }),
  ];
  // With one of the two unreachable every topic would only say the same again.
  if (items.some((item) => !item.ok)) return items;
  for (const topic of topics) items.push(...(await checkTopic(topic, rest, pool, deps)));
  return items;
}

async function checkTopic(topic: string, rest: Rest, pool: BrokerPool, deps: PulsarDeps): Promise<CheckItem[]> {
  const problem = topicNameProblem(topic);
  if (problem !== undefined) return [{ what: `topic ${topic}`, ok: false, detail: problem }];
  const { tenant, namespace } = parseTopicName(topic);
  let partitions: number | undefined;
  const exists = await attempt(`topic ${topic}`, async () => {
    partitions = await partitionsOf(rest, topic);
    if (partitions === undefined)
      return (await namespaceExists(rest, tenant, namespace))
        ? 'does not exist yet; it will be created'
        : noNamespace(tenant, namespace);
    if (partitions === 0)
      throw new Error('it exists without partitions; rename it in the mirror (rename), or delete it if it is empty');
    // Reading it takes more rights than mirroring does.
    return `${partitions} partitions; ${describeRetention(await retentionMinutesOf(rest, topic).catch(() => undefined))}`;
  });
  if (!exists.ok || partitions === undefined) return [exists];
  const produce = await attempt(`produce to ${topic}`, async () => {
    const name = `isthmus-check-${Math.floor(deps.random() * 2 ** 32).toString(36)}`;
    // Only ever on a partition: PRODUCER on the parent's name would create a stray topic beside the partitions.
    const partition = partitionTopic(topic, 0);
    const silent = { receipt: () => undefined, sendError: () => undefined, closed: () => undefined };
    const producer = await openProducer(await pool.locate(partition), { topic: partition, name, epoch: 0, events: silent });
    await producer.close();
    return 'permitted';
  });
  return [exists, produce];
}

function describeRetention(minutes: number | undefined): string {
  if (minutes === undefined) return 'how long it keeps records may not be asked';
  if (minutes === 0)
    return 'it has no retention: Pulsar deletes what no subscription holds, so subscribe or set retention before it matters';
  return minutes < 0 ? 'records are kept for ever' : `records are kept for ${minutes} minutes`;
}

function noNamespace(tenant: string, namespace: string): never {
  throw new Error(`the namespace ${tenant}/${namespace} does not exist; create it first`);
}

async function namespaceExists(rest: Rest, tenant: string, namespace: string): Promise<boolean> {
  return (await rest.get(topicPath(`${tenant}/${namespace}/x`).replace(/\/x$/, ''))) !== undefined;
}

/** Runs one check; what it throws becomes the line's text. */
async function attempt(what: string, run: () => Promise<string>): Promise<CheckItem> {
  try {
    return { what, ok: true, detail: await run() };
  } catch (caught) {
    const error = toIsthmusError(caught);
    const hint = error.code === 'ACCESS_DENIED' ? ". Look at the cluster's auth, and at what its role may do" : '';
    return { what, ok: false, detail: `${error.message}${hint}` };
  }
}

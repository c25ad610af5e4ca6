import { toIsthmusError } from '../../../errors.ts';
import type { CheckItem, CheckTopics } from '../../../spi/cluster.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { readLastMessageId } from '../net/entry-reader.ts';
import { openProducer } from '../net/producer.ts';
import type { PulsarDeps } from '../options.ts';
import { parseTopicName, partitionName, topicNameProblem } from '../topic-name.ts';
import { texts } from './json.ts';
import type { Rest } from './rest.ts';
import { partitionsOf, retentionMinutesOf, topicPath } from './topics.ts';

/** Tries what mirrors need of this cluster, one line each. */
export async function checkCluster(
  { reads, writes }: CheckTopics,
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
  for (const topic of reads) items.push(...(await checkSource(topic, rest, pool, deps)));
  for (const topic of writes) items.push(...(await checkTarget(topic, rest, pool, deps)));
  for (const topic of new Set([...reads, ...writes])) items.push(...(await replicationNote(topic, rest)));
  return items;
}

async function checkSource(topic: string, rest: Rest, pool: BrokerPool, deps: PulsarDeps): Promise<CheckItem[]> {
  let partitions: number | undefined;
  const exists = await attempt(`topic ${topic}`, async () => {
    partitions = await partitionsOf(rest, topic);
    if (partitions === undefined) return 'does not exist yet; it is waited for';
    return partitions === 0 ? 'one lane, without partitions' : `${partitions} partitions`;
  });
  if (!exists.ok || partitions === undefined) return [exists];
  const first = partitionName(topic, 0, partitions);
  const consume = await attempt(`consume from ${topic}`, async () => {
    const { ledger } = await readLastMessageId(await pool.locate(first), first, checkName(deps));
    return `permitted${ledger < 0 ? '; it is empty now' : ''}`;
  });
  return [exists, consume];
}

const checkName = ({ random }: PulsarDeps): string => `isthmus-check-${Math.floor(random() * 2 ** 32).toString(36)}`;

/** The clusters between which a topic is replicated; where it does not exist, those of its namespace. */
async function replicationOf(topic: string, rest: Rest): Promise<unknown> {
  const own = await rest.get(`${topicPath(topic)}/replication?applied=true`);
  if (own !== undefined) return own;
  const { tenant, namespace } = parseTopicName(topic);
  return await rest.get(`/namespaces/${encodeURIComponent(tenant)}/${encodeURIComponent(namespace)}/replication`);
}

/** Whether Pulsar itself carries a topic to other clusters. */
async function replicationNote(topic: string, rest: Rest): Promise<CheckItem[]> {
  if (topicNameProblem(topic) !== undefined) return [];
  // Reading it takes more rights than mirroring does; then nobody can tell.
  const clusters = texts(await replicationOf(topic, rest).catch(() => undefined));
  if (clusters.length < 2) return [];
  const detail = `Pulsar itself replicates it between ${clusters.join(', ')}; what a mirror brings goes there, too, and a second mirror of another of these clusters would bring it twice. Leave one of the two out`;
  return [{ what: `geo-replication of ${topic}`, ok: true, note: 'warning', detail }];
}

async function checkTarget(topic: string, rest: Rest, pool: BrokerPool, deps: PulsarDeps): Promise<CheckItem[]> {
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
    const size = partitions === 0 ? 'without partitions, so it takes topics of one lane alone' : `${partitions} partitions`;
    // Reading it takes more rights than mirroring does.
    return `${size}; ${describeRetention(await retentionMinutesOf(rest, topic).catch(() => undefined))}`;
  });
  if (!exists.ok || partitions === undefined) return [exists];
  const produce = await attempt(`produce to ${topic}`, async () => {
    // Only ever on a partition: PRODUCER on the parent's name would create a stray topic beside the partitions.
    const partition = partitionName(topic, 0, partitions ?? 0);
    const silent = { receipt: () => undefined, sendError: () => undefined, closed: () => undefined };
    const producer = await openProducer(await pool.locate(partition), {
      topic: partition,
      name: checkName(deps),
      epoch: 0,
      events: silent,
    });
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

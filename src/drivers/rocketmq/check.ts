import { toIsthmusError } from '../../errors.ts';
import type { CheckItem } from '../../spi/cluster.ts';
import { type AdminParts, clusterInfo } from './admin-parts.ts';
import { accepted, refusal } from './refusal.ts';
import { ResponseCode } from './wire/codes.ts';
import { createConsumerGroup } from './wire/consumer-group.ts';
import type { BrokerRoute } from './wire/get-route.ts';
import { PullEncoder } from './wire/pull-message.ts';
import { getRuntimeInfo, readBrokerVersion } from './wire/runtime-info.ts';

/** The group that a check pulls with; it never commits an offset. */
const CHECK_GROUP = 'isthmus-check';
const PULL_TIMEOUT_MILLIS = 5_000;

/** Tries what a mirror needs of the cluster, step by step; each step becomes one line. */
export async function checkCluster(parts: AdminParts, topics: readonly string[]): Promise<CheckItem[]> {
  const items: CheckItem[] = [];
  const { network, routes } = parts;
  const info = await attempt(items, 'name servers', async () => {
    const found = await clusterInfo(network);
    return [found, `${found.brokers.length} broker(s): ${found.brokers.map(({ name }) => name).join(', ') || 'none'}`];
  });
  for (const { name, master } of info?.brokers ?? []) {
    await attempt(items, `broker ${name}`, async () => {
      if (master === undefined) throw new Error('it has no master now');
      const told = await network.call(master, getRuntimeInfo());
      // Users may lack the right to ask; nothing but this line needs the version.
      const version = told.code === ResponseCode.SUCCESS ? readBrokerVersion(told) : `version not told (${told.code})`;
      accepted(await network.call(master, createConsumerGroup(CHECK_GROUP)), `creating the consumer group ${CHECK_GROUP}`);
      return [undefined, `${master}, ${version}; consumer groups can be created`];
    });
  }
  for (const topic of topics) {
    await attempt(items, `topic ${topic}`, async () => {
      const { brokers } = await routes.fetch(topic);
      for (const broker of brokers) await tryPull(parts, topic, broker);
      return [
        undefined,
        `readable: ${brokers.map(({ brokerName, readQueues }) => `${readQueues} queue(s) at ${brokerName}`).join(', ')}`,
      ];
    });
  }
  return items;
}

async function attempt<T>(items: CheckItem[], what: string, run: () => Promise<[T, string]>): Promise<T | undefined> {
  try {
    const [result, detail] = await run();
    items.push({ what, ok: true, detail });
    return result;
  } catch (error) {
    items.push({ what, ok: false, detail: toIsthmusError(error).message });
    return undefined;
  }
}

/** Pulls one message, which tells whether we may read. That there is none, or that offset 0 has expired, is fine. */
async function tryPull({ network }: AdminParts, topic: string, { brokerName, reader, readable }: BrokerRoute): Promise<void> {
  if (!readable) throw new Error(`broker ${brokerName} gives no read permission (its perm has no 4)`);
  if (reader === undefined) throw new Error(`broker ${brokerName} is not up`);
  const connection = await network.connection(reader);
  const encoder = new PullEncoder(CHECK_GROUP, topic, 0, network.sign);
  const answer = await connection.ask(
    (opaque) => encoder.encode({ offset: 0, maxMessages: 1, suspendMillis: 0 }, opaque),
    PULL_TIMEOUT_MILLIS,
  );
  const fine: readonly number[] = [
    ResponseCode.SUCCESS,
    ResponseCode.PULL_NOT_FOUND,
    ResponseCode.PULL_OFFSET_MOVED,
    ResponseCode.PULL_RETRY_IMMEDIATELY,
  ];
  if (!fine.includes(answer.code)) throw refusal(answer, `pulling from broker ${brokerName}`);
}

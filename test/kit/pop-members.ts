/** Members of POP groups, as applications have them: the official Node client's SimpleConsumer, through a proxy. */
import { type MessageView, SimpleConsumer } from 'rocketmq-client-nodejs';
import { Network } from '../../src/drivers/rocketmq/network.ts';
import { RequestCode } from '../../src/drivers/rocketmq/wire/codes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { FramePool } from '../../src/lib/frame-pool.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { rocketmqEndpoints, testOffset } from './brokers.ts';
import type { Member, MemberRow } from './members.ts';
import { memoryLog } from './pulsar-writing.ts';

export type PopOptions = {
  readonly topic: string;
  readonly group: string;
  /** Default `rmq-timer`. */
  readonly cluster?: PopCluster;
  /** Takes no more after so many messages. */
  readonly stopAfter?: number;
  /** Every so-manieth message is not acknowledged. */
  readonly leaveEvery?: number;
  /** Called right before a message is acknowledged, with its id. */
  readonly onAcknowledge?: (id: string) => void;
};

/** What a proxy lets consumers have at least; whatever is not acknowledged by then comes again. */
export const INVISIBLE_MILLIS = 10_000;
/** Until what was left lies in the retry topic for sure: the broker looks once a second, and goes by the second. */
export const POP_WINDOW_MILLIS = 16_000;
const LONG_POLL_MILLIS = 5_000;
const RECEIVE_MESSAGES = 16;

/** The clusters of the bed whose brokers give messages again that POP consumers have left. */
export type PopCluster = 'rmq-timer' | 'rmq-timer-west';

/** A request to the broker behind the proxy; the text of the answer's body. */
export async function askBroker(
  code: number,
  fields: readonly (readonly [string, string])[],
  body?: object | string,
  cluster: PopCluster = 'rmq-timer',
): Promise<{ readonly code: number; readonly remark: string; readonly text: string }> {
  const { namesrv, broker } = rocketmqEndpoints(cluster, testOffset);
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  const network = new Network({ namesrv: [namesrv], auth: undefined, tls: undefined }, deps, new FramePool());
  try {
    const request = {
      code,
      fields,
      ...(body === undefined ? {} : { body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) }),
    };
    const answer = await network.call(broker, request);
    return { code: answer.code, remark: answer.remark, text: answer.body.toString() };
  } finally {
    network.close();
  }
}

/** A proxy makes no groups. `fifo`: the messages of a queue are given one after the other. */
export async function createPopGroup(groupName: string, fifo = false, cluster: PopCluster = 'rmq-timer'): Promise<void> {
  const config = { groupName, consumeMessageOrderly: fifo, retryMaxTimes: 16 };
  const { code, remark } = await askBroker(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, [], config, cluster);
  if (code !== 0) throw new Error(`the broker makes no group ${groupName}: ${code} ${remark}`);
}

export async function startPopMember(options: PopOptions): Promise<Member> {
  const consumer = new SimpleConsumer({
    endpoints: rocketmqEndpoints(options.cluster ?? 'rmq-timer', testOffset).proxyGrpc,
    namespace: '',
    sslEnabled: false,
    requestTimeout: 10_000,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    consumerGroup: options.group,
    subscriptions: new Map([[options.topic, '*']]),
    awaitDuration: LONG_POLL_MILLIS,
  });
  await consumer.startup();
  const rows: MemberRow[] = [];
  let over = false;
  const running = consume(consumer, options, rows, () => over);
  return {
    received: async () => await Promise.resolve(rows.length),
    stop: async () => {
      over = true;
      // A long poll that is left open would be given messages that nobody has.
      await running;
      await consumer.shutdown();
      return rows;
    },
  };
}

async function consume(consumer: SimpleConsumer, options: PopOptions, rows: MemberRow[], over: () => boolean): Promise<void> {
  const { stopAfter = Number.POSITIVE_INFINITY, leaveEvery = 0 } = options;
  while (!over() && rows.length < stopAfter) {
    const room = Math.min(RECEIVE_MESSAGES, stopAfter - rows.length);
    // At the end of the topic the proxy lets a poll run out.
    const views: MessageView[] = await consumer.receive(room, INVISIBLE_MILLIS).catch(() => []);
    for (const view of views) {
      const leaves = leaveEvery > 0 && rows.length % leaveEvery === leaveEvery - 1;
      const row = rowOf(view, !leaves);
      rows.push(row);
      if (leaves) continue;
      options.onAcknowledge?.(row.id);
      await consumer.ack(view);
    }
  }
}

function rowOf(view: MessageView, acknowledged: boolean): MemberRow {
  return {
    // The client does not tell queues.
    lane: '',
    place: view.messageId,
    id: view.properties.get('seq') ?? '',
    key: view.keys[0] ?? null,
    acknowledged,
    at: Date.now() * 1_000,
    batchSize: 1,
  };
}

/** Names, numbers and files of one run of the demo. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import {
  type PulsarEndpoints,
  pulsarEndpoints,
  type RedisEndpoints,
  type RocketmqEndpoints,
  redisEndpoints,
  rocketmqEndpoints,
  type ServerName,
} from '../brokers/table.ts';

export const servers: readonly ServerName[] = ['rmq-east', 'pulsar-west', 'redis-east'];

export const link = 'east-west';
const usualPort = 8686;

export type DemoTopic = {
  /** Name on RocketMQ. */
  readonly source: string;
  /** Name on Pulsar. */
  readonly target: string;
  /** Name of the mirror that carries it. */
  readonly mirror: string;
  readonly queues: number;
  readonly count: number;
  /** Messages per second. */
  readonly rate: number;
};

export type Plan = {
  readonly orders: DemoTopic;
  readonly payments: DemoTopic;
  readonly rocketmq: RocketmqEndpoints;
  readonly pulsar: PulsarEndpoints;
  readonly redis: RedisEndpoints;
  readonly apiUrl: string;
  readonly configFile: string;
  readonly logFile: string;
};

/** A run of its own: what an earlier one left on the brokers and in Redis does not matter. */
export async function makePlan(offset: number): Promise<Plan> {
  const run = Date.now().toString(36).slice(-6);
  const folder = relative(process.cwd(), join(import.meta.dirname, '../../.isthmus', `demo-${run}`));
  mkdirSync(folder, { recursive: true });
  const topic = (mirror: string, count: number, rate: number): DemoTopic => {
    const source = `${mirror}-${run}`;
    return { source, target: `persistent://public/default/${source}`, mirror, queues: 4, count, rate };
  };
  const plan = {
    orders: topic('orders', 20_000, 1_000),
    payments: topic('payments', 4_000, 200),
    rocketmq: rocketmqEndpoints('rmq-east', offset),
    pulsar: pulsarEndpoints('pulsar-west', offset),
    redis: redisEndpoints('redis-east', offset),
    apiUrl: `http://127.0.0.1:${await choosePort()}`,
    configFile: join(folder, 'isthmus.yaml'),
    logFile: join(folder, 'isthmus.log'),
  };
  writeFileSync(plan.configFile, configuration(plan, run));
  return plan;
}

function configuration(plan: Plan, run: string): string {
  return `# Written by "npm run demo": one link from RocketMQ to Pulsar with one mirror.
region: west
http: { listen: "${plan.apiUrl.slice('http://'.length)}" }
state: ${plan.redis.url}/0?prefix=demo-${run}
clusters:
  rmq-east:
    type: rocketmq
    region: east
    namesrv: ["${plan.rocketmq.namesrv}"]
  pulsar-west:
    type: pulsar
    region: west
    serviceUrl: ${plan.pulsar.serviceUrl}
    adminUrl: ${plan.pulsar.adminUrl}
links:
  ${link}:
    from: rmq-east
    to: pulsar-west
    mirrors:
      ${plan.orders.mirror}:
        topics: ["${plan.orders.source}"]
        rename: persistent://public/default/{topic}
`;
}

/** The second mirror, added while the first one runs. Its topic gets fewer partitions than it has queues: the key decides. */
export function paymentsMirror({ payments }: Plan): object {
  return {
    name: payments.mirror,
    topics: [payments.source],
    rename: 'persistent://public/default/{topic}',
    routing: { mode: 'key', partitions: 3 },
  };
}

/** The usual port of the API, or any free one where that is taken. */
async function choosePort(): Promise<number> {
  return (await tryPort(usualPort)) ?? (await tryPort(0)) ?? usualPort;
}

async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  const listening = new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!(await listening)) return undefined;
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address === null || typeof address === 'string' ? undefined : address.port;
}

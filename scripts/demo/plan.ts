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

/** `east` is the RocketMQ cluster, `west` the Pulsar cluster. */
export type Region = 'east' | 'west';

/** One link each way. */
export const links: Readonly<Record<Region, string>> = { east: 'east-west', west: 'west-east' };

export const clusterOf: Readonly<Record<Region, string>> = { east: 'RocketMQ', west: 'Pulsar' };

export function otherThan(region: Region): Region {
  return region === 'east' ? 'west' : 'east';
}

const usualPort = 8686;

/** What one application writes in its region, for the other region to have as well. */
export type Flow = {
  /** For people. */
  readonly name: string;
  /** Where the application writes. */
  readonly writer: Region;
  /** Its name is the same on both sides, but for Pulsar's tenant and namespace. */
  readonly topic: string;
  /** Name of the mirror that carries it. */
  readonly mirror: string;
  /** Queues or partitions where it is written. */
  readonly lanes: number;
  readonly count: number;
  /** Messages per second. */
  readonly rate: number;
};

export type Plan = {
  readonly ordersEast: Flow;
  readonly ordersWest: Flow;
  readonly payments: Flow;
  readonly rocketmq: RocketmqEndpoints;
  readonly pulsar: PulsarEndpoints;
  readonly redis: RedisEndpoints;
  readonly apiUrl: string;
  readonly configFile: string;
  readonly logFile: string;
};

/** The topic as its cluster calls it. */
export function topicIn(region: Region, topic: string): string {
  return region === 'east' ? topic : `persistent://public/default/${topic}`;
}

/** A run of its own: what an earlier one left on the brokers and in Redis does not matter. */
export async function makePlan(offset: number): Promise<Plan> {
  const run = Date.now().toString(36).slice(-6);
  const folder = relative(process.cwd(), join(import.meta.dirname, '../../.isthmus', `demo-${run}`));
  mkdirSync(folder, { recursive: true });
  const flow = (mirror: string, writer: Region, count: number, rate: number): Flow => {
    const topic = `${mirror}-${run}`;
    const name = `${mirror} ${writer} to ${otherThan(writer)}`;
    return { name, writer, topic, mirror, lanes: 4, count, rate };
  };
  const plan = {
    ordersEast: flow('orders', 'east', 15_000, 750),
    ordersWest: flow('orders', 'west', 15_000, 750),
    payments: flow('payments', 'east', 4_000, 200),
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
  const { topic, mirror } = plan.ordersEast;
  return `# Written by "npm run demo": one link each way between RocketMQ and Pulsar, with one mirror each, of topics with the same name.
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
  ${links.east}:
    from: rmq-east
    to: pulsar-west
    mirrors:
      ${mirror}:
        topics: ["${topicIn('east', topic)}"]
        rename: "${topicIn('west', topic)}"
  ${links.west}:
    from: pulsar-west
    to: rmq-east
    mirrors:
      ${mirror}:
        topics: ["${topicIn('west', topic)}"]
        rename: "${topicIn('east', topic)}"
`;
}

/** The mirror that is added while the others run. Its topic gets fewer partitions than it has queues: the key decides. */
export function paymentsMirror({ payments }: Plan): object {
  return {
    name: payments.mirror,
    topics: [payments.topic],
    rename: topicIn('west', payments.topic),
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

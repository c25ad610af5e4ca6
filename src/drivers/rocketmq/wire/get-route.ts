import { IsthmusError } from '../../../errors.ts';
import { RequestCode } from './codes.ts';
import { type Command, type Request } from './command.ts';
import { type Json, type JsonMap, listIn, mapIn, numberIn, parseJsonObject, textIn } from './lenient-json.ts';

/** Bits of a topic's permission on a broker. */
export const PERM_READ = 4;
export const PERM_WRITE = 2;

const MASTER_ID = 0;
/** More queues than any broker can have; guards against a lying route. */
const MAX_QUEUES = 65_536;

/** What a name server says of one broker that has the topic. */
export interface BrokerRoute {
  readonly brokerName: string;
  readonly cluster: string;
  /** `host:port` of the broker with id 0; `undefined` while there is none. */
  readonly master: string | undefined;
  /** The address to read from: the master's, else that of any replica. */
  readonly reader: string | undefined;
  readonly readQueues: number;
  readonly writeQueues: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

export interface TopicRoute {
  /** Sorted by broker name, the order in which every RocketMQ client lists queues. */
  readonly brokers: readonly BrokerRoute[];
  /** A static (logic queue) topic, whose queues move between brokers. */
  readonly static: boolean;
}

/** 105 GET_ROUTEINFO_BY_TOPIC, to a name server. */
export function getRoute(topic: string): Request {
  return {
    code: RequestCode.GET_ROUTEINFO_BY_TOPIC,
    fields: [
      ['topic', topic],
      ['acceptStandardJsonOnly', 'true'],
    ],
  };
}

export function readRoute(answer: Command): TopicRoute {
  const route = parseJsonObject(answer.body);
  const addresses = new Map(maps(listIn(route, 'brokerDatas')).map((broker) => [textIn(broker, 'brokerName'), broker]));
  const brokers = maps(listIn(route, 'queueDatas')).map((queues) =>
    brokerRoute(queues, addresses.get(textIn(queues, 'brokerName'))),
  );
  brokers.sort((a, b) => (a.brokerName < b.brokerName ? -1 : 1));
  return { brokers, static: mapIn(route, 'topicQueueMappingByBroker').size > 0 };
}

function brokerRoute(queues: JsonMap, broker: JsonMap | undefined): BrokerRoute {
  const addresses = broker === undefined ? [] : brokerAddresses(broker);
  const perm = numberIn(queues, 'perm', 0);
  const master = addresses.find(([id]) => id === MASTER_ID)?.[1];
  return {
    brokerName: textIn(queues, 'brokerName'),
    cluster: broker === undefined ? '' : textIn(broker, 'cluster'),
    master,
    reader: master ?? addresses[0]?.[1],
    readQueues: queueCount(queues, 'readQueueNums'),
    writeQueues: queueCount(queues, 'writeQueueNums'),
    readable: (perm & PERM_READ) !== 0,
    writable: (perm & PERM_WRITE) !== 0 && master !== undefined,
  };
}

function queueCount(queues: JsonMap, name: string): number {
  const count = numberIn(queues, name, 0);
  if (count < 0 || count > MAX_QUEUES) throw new IsthmusError('PROTOCOL_VIOLATION', `reading a route: ${name} is ${count}`);
  return count;
}

/** Addresses of a broker by id, ascending. */
export function brokerAddresses(broker: JsonMap): [id: number, address: string][] {
  const addresses: [number, string][] = [];
  for (const [id, address] of mapIn(broker, 'brokerAddrs')) {
    if (typeof id === 'string' && typeof address === 'string') addresses.push([Number(id), address]);
  }
  return addresses.sort(([a], [b]) => a - b);
}

function maps(items: readonly Json[]): JsonMap[] {
  return items.filter((item) => item instanceof Map);
}

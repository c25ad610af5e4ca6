/** The messages of the demo: changes of orders and of payments, with everything that a mirror has to carry. */
import type { PulsarMessage } from '../../test/kit/pulsar-eyes.ts';
import type { RocketmqMessage } from '../../test/kit/rocketmq-eyes.ts';
import type { Region } from './plan.ts';

const customers = 200;
const statuses = ['created', 'paid', 'shipped', 'delivered'] as const;
const markets = ['eu', 'us', 'asia'] as const;

/** An order as an application knows it, whatever it writes it to. */
export type Order = {
  /** `east-17`: tells messages apart on both sides, and whose they are. */
  readonly id: string;
  readonly order: number;
  readonly customer: string;
  readonly status: string;
  readonly body: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Queue or partition. */
  readonly lane: number;
};

/** The property that tells messages apart on both sides. */
export const idProperty = 'seq';

export function isFrom(writer: Region, id: string | null | undefined): boolean {
  return id?.startsWith(`${writer}-`) === true;
}

/** Message `seq` of an application, the same one each time. All messages of a customer are in one lane, as a producer that keeps their order sends them. */
export function orderOf(writer: Region, seq: number, lanes: number): Order {
  // A multiplication by an odd number mixes the low bits, so that customers come in no pattern.
  const customer = (Math.imul(seq, 0x9e3779b1) >>> 8) % customers;
  const order = Math.floor(seq / statuses.length);
  const status = statuses[seq % statuses.length] ?? statuses[0];
  const amount = ((seq * 7919) % 100_000) / 100;
  const id = `${writer}-${seq}`;
  return {
    id,
    order,
    customer: `customer-${customer}`,
    status,
    body: JSON.stringify({ order, customer, status, amount, at: `step ${seq}`, writer }),
    properties: { [idProperty]: id, market: markets[customer % markets.length] ?? markets[0], note: 'Grüße, 您好' },
    lane: customer % lanes,
  };
}

export function toRocketmq({ order, customer, status, body, properties }: Order): RocketmqMessage {
  return { keys: `order-${order} invoice-${order}`, shardingKey: customer, tags: status, properties, body };
}

/** `now`: event time, milliseconds since 1970. */
export function toPulsar({ customer, status, body, properties, lane }: Order, now: number): PulsarMessage {
  return { key: customer, properties: { ...properties, status }, body, eventTime: now, partition: lane };
}

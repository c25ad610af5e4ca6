/** The messages of the demo: changes of orders and of payments, with everything that a mirror has to carry. */
import type { RocketmqMessage } from '../../test/kit/rocketmq-eyes.ts';

const customers = 200;
const tags = ['created', 'paid', 'shipped', 'delivered'] as const;
const regions = ['eu', 'us', 'asia'] as const;

export type DemoMessage = RocketmqMessage & { readonly queue: number };

/** The property that tells messages apart on both sides. */
export const idProperty = 'seq';

/** Message `seq` of a topic with `queues` queues, the same one each time. All messages of a customer are in one queue, as a producer that keeps their order sends them. */
export function orderMessage(seq: number, queues: number): DemoMessage {
  // A multiplication by an odd number mixes the low bits, so that customers come in no pattern.
  const customer = (Math.imul(seq, 0x9e3779b1) >>> 8) % customers;
  const order = Math.floor(seq / tags.length);
  const amount = ((seq * 7919) % 100_000) / 100;
  return {
    keys: `order-${order} invoice-${order}`,
    shardingKey: `customer-${customer}`,
    tags: tags[seq % tags.length] ?? tags[0],
    properties: { [idProperty]: String(seq), region: regions[customer % regions.length] ?? regions[0], note: 'Grüße, 您好' },
    body: JSON.stringify({ order, customer, status: tags[seq % tags.length], amount, at: `step ${seq}` }),
    queue: customer % queues,
  };
}

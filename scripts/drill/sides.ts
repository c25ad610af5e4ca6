/** One face for both ends of a drill, whatever cluster each is: what applications do there through the official Java clients. */
import type { StoredRow } from '../../test/checkers/row.ts';
import type { Eyes } from '../../test/kit/eyes.ts';
import type { Member } from '../../test/kit/members.ts';

/** A cluster and how to reach it; `config` is its section in the replicator's configuration. */
export type Where = { readonly name: string; readonly config: Readonly<Record<string, unknown>> } & (
  | { readonly kind: 'rocketmq'; readonly namesrv: string }
  | { readonly kind: 'pulsar'; readonly serviceUrl: string; readonly adminUrl: string }
);

export type ConsumerKind = 'push' | 'Failover' | 'Shared';

export type Message = {
  readonly id: string;
  readonly key: string;
  readonly lane: number;
  readonly body: string;
  /** Further properties. */
  readonly properties?: Readonly<Record<string, string>>;
};

/** Topics are short names; `full` gives the cluster's own. */
export type Side = {
  readonly where: Where;
  readonly full: (topic: string) => string;
  /** The consumers that its official client offers, for the first group and the second one. */
  readonly kinds: readonly [ConsumerKind, ConsumerKind];
  readonly createTopic: (topic: string, lanes: number) => Promise<void>;
  readonly deleteTopic: (topic: string) => Promise<void>;
  /** Resolves when the broker has acknowledged it. */
  readonly send: (topic: string, message: Message) => Promise<void>;
  readonly read: (topic: string) => Promise<readonly StoredRow[]>;
  readonly consume: (topic: string, group: string, kind: ConsumerKind) => Promise<Member>;
};

const idProperty = 'seq';

export function sideOf(eyes: Eyes, where: Where): Side {
  return where.kind === 'rocketmq' ? rocketmqSide(eyes, where) : pulsarSide(eyes, where);
}

function rocketmqSide(eyes: Eyes, where: Where & { kind: 'rocketmq' }): Side {
  const { namesrv } = where;
  const client = eyes.rocketmq(namesrv);
  return {
    where,
    full: (topic) => topic,
    kinds: ['push', 'push'],
    createTopic: async (topic, queues) => await client.createTopic(topic, { queues }),
    deleteTopic: async (topic) => await client.deleteTopic(topic),
    send: async (topic, { id, key, lane, body, properties }) => {
      await client.send(topic, [{ keys: key, queue: lane, body, properties: { ...properties, [idProperty]: id } }]);
    },
    read: async (topic) => await client.readRows(topic),
    consume: async (topic, group) => await eyes.member({ topic, group, namesrv, idProperty }),
  };
}

function pulsarSide(eyes: Eyes, where: Where & { kind: 'pulsar' }): Side {
  const { serviceUrl } = where;
  const client = eyes.pulsar(where);
  const full = (topic: string): string => `persistent://public/default/${topic}`;
  return {
    where,
    full,
    kinds: ['Failover', 'Shared'],
    createTopic: async (topic, partitions) => {
      await client.createTopic(full(topic), partitions);
      // What everybody has acknowledged is to be read at the end.
      await client.retain(full(topic));
    },
    deleteTopic: async (topic) => await client.deleteTopic(full(topic)),
    send: async (topic, { id, key, lane, body, properties }) => {
      const message = { key, partition: lane, body, properties: { ...properties, [idProperty]: id } };
      // Each an entry of its own: one that is acknowledged in part counts as not done.
      await client.send(full(topic), [message], { keep: true });
    },
    read: async (topic) => await client.readRows(full(topic)),
    consume: async (topic, group, kind) => {
      if (kind === 'push') throw new Error(`${where.name} has no push consumers`);
      return await eyes.member({ topic: full(topic), group, serviceUrl, type: kind, idProperty });
    },
  };
}

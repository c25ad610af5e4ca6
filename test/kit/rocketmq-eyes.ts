/** What the official RocketMQ client and admin tools write and see. Times are milliseconds since 1970. */

import type { StoredRow } from '../checkers/row.ts';
import type { Ask } from './eyes.ts';
import { type Arrival, follow } from './follow.ts';

/** A message to be sent as described; `body` is text, `bodyHex` bytes. Names and values of `properties` are taken as they are, reserved or empty too. */
export type RocketmqMessage = {
  readonly body?: string;
  readonly bodyHex?: string;
  readonly tags?: string;
  /** Several keys are separated by a space. */
  readonly keys?: string;
  readonly shardingKey?: string;
  readonly properties?: Readonly<Record<string, string>>;
  readonly flag?: number;
  /** Only where messages go one by one; absent: the client chooses. */
  readonly queue?: number;
  readonly delayLevel?: number;
  readonly delayMs?: number;
};

export type SendOptions = {
  /** One request for all, to queue `queue`; not checked by the client, so that a batch can hold an empty body. Never compressed by the client. */
  readonly batch?: boolean;
  readonly queue?: number;
  readonly compress?: 'ZLIB' | 'LZ4' | 'ZSTD';
  /** Bodies of at least so many bytes are compressed; default: none. */
  readonly compressAbove?: number;
  /** Sends half messages and then ends them so. Only on a broker of its own: it burns CPU for ever after. */
  readonly transaction?: 'commit' | 'rollback';
};

export type SendReceipt = {
  readonly status: string;
  /** Of a batch: all its messages', separated by commas. */
  readonly uniqKey: string;
  /** Null in a transaction. */
  readonly offsetMsgId: string | null;
  readonly queue: number;
  readonly offset: number;
};

/** Messages `from` to `from + count - 1`: property `seq` is the number, and key, tag, queue and random body follow from it. */
export type LoadOptions = {
  readonly count: number;
  readonly from?: number;
  /** Body bytes; default 128. */
  readonly size?: number;
  /** How many different keys, each in one queue; default 1000; 0: no keys. */
  readonly keys?: number;
  /** The key as sharding key instead of KEYS. */
  readonly sharding?: boolean;
  /** Messages per request; default as many as fit into 1 MB, 500 at most; 1 where `rate` is given. */
  readonly batch?: number;
  /** Messages per second over all queues; default: as fast as possible. */
  readonly rate?: number;
  /** Sends again what failed, for three minutes and before anything later; the message may then be there twice. */
  readonly stubborn?: boolean;
};

export type RocketmqRow = {
  readonly broker: string;
  readonly queue: number;
  readonly offset: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly bodySha256: string;
  readonly bodyLength: number;
  /** Null above 1024 bytes. */
  readonly bodyHex: string | null;
  readonly flag: number;
  /** The client clears the compression bit of what it has decompressed. */
  readonly sysFlag: number;
  readonly bornTimestamp: number;
  readonly storeTimestamp: number;
  readonly reconsumeTimes: number;
  readonly msgId: string;
};

export type QueueStatus = { readonly broker: string; readonly queue: number; readonly min: number; readonly max: number };
export type QueueOffset = {
  readonly broker: string;
  readonly queue: number;
  readonly committed: number | null;
  readonly max: number;
};

export type ReadOptions = {
  /** Waits until the brokers show so many messages, 30 s at most: a just acknowledged one shows late. */
  readonly expect?: number;
};

export type RocketmqEyes = {
  /** Creates the topic on every master and waits for its route. */
  createTopic(
    topic: string,
    options?: { readonly queues?: number; readonly messageType?: 'NORMAL' | 'FIFO' | 'DELAY' | 'TRANSACTION' },
  ): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  send(topic: string, messages: readonly RocketmqMessage[], options?: SendOptions): Promise<readonly SendReceipt[]>;
  load(topic: string, options: LoadOptions): Promise<number>;
  /** Every message of the topic, queue by queue in order of offset. */
  read(topic: string, options?: ReadOptions): Promise<readonly RocketmqRow[]>;
  /** The same in short, for large topics; `idProperty` is the property that tells messages apart, default `seq`. */
  readRows(topic: string, options?: ReadOptions & { readonly idProperty?: string }): Promise<readonly StoredRow[]>;
  /** Reads all and counts; `idProperty` (default `seq`) has to be a whole number below 2^31. */
  count(
    topic: string,
    options?: ReadOptions & { readonly idProperty?: string },
  ): Promise<{ readonly messages: number; readonly distinct: number }>;
  /** Follows the topic from its end: resolves when it listens; `arrived` resolves after `count` messages or `timeoutMs`. */
  tail(
    topic: string,
    options: { readonly count: number; readonly timeoutMs: number; readonly idProperty?: string },
  ): Promise<{ readonly arrived: Promise<readonly Arrival[]> }>;
  topicStatus(topic: string): Promise<readonly QueueStatus[]>;
  /** A group's committed offsets (null: none), asked for without joining the group. */
  groupOffsets(group: string, topic: string): Promise<readonly QueueOffset[]>;
};

type CompactRow = readonly [lane: string, place: number, id: string | null, key: string | null, storeTimestamp: number];

export function rocketmqEyes(ask: Ask): RocketmqEyes {
  return {
    createTopic: async (topic, options = {}) => await ask({ verb: 'rmq-create-topic', topic, ...options }),
    deleteTopic: async (topic) => await ask({ verb: 'rmq-delete-topic', topic }),
    send: async (topic, messages, options = {}) => await ask({ verb: 'rmq-send', topic, messages, ...options }),
    load: async (topic, options) => await ask({ verb: 'rmq-load', topic, ...options }),
    read: async (topic, options = {}) => {
      const rows: RocketmqRow[] = [];
      await ask({ verb: 'rmq-read', topic, ...options }, (row: RocketmqRow) => rows.push(row));
      return rows;
    },
    readRows: async (topic, options = {}) => {
      const rows: StoredRow[] = [];
      await ask({ verb: 'rmq-read', topic, compact: true, ...options }, ([lane, place, id, key, storeTimestamp]: CompactRow) =>
        rows.push({ lane, place, id, key, storeTimestamp }),
      );
      return rows;
    },
    count: async (topic, options = {}) => await ask({ verb: 'rmq-count', topic, ...options }),
    tail: async (topic, options) => await follow(ask, { verb: 'rmq-tail', topic, ...options }),
    topicStatus: async (topic) => await ask({ verb: 'rmq-topic-status', topic }),
    groupOffsets: async (group, topic) => await ask({ verb: 'rmq-group-offsets', group, topic }),
  };
}

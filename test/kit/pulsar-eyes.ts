/** What the official Pulsar client sees, and the admin REST where it knows more. Times are milliseconds since 1970. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsumedRow, StoredRow } from '../checkers/row.ts';
import type { Ask } from './eyes.ts';
import { type Arrival, follow } from './follow.ts';

export type PulsarRow = {
  readonly partition: number;
  /** ledger:entry:batch index; the index is -1 for a message that is an entry of its own. */
  readonly messageId: string;
  readonly batchSize: number;
  readonly producer: string;
  readonly sequenceId: number;
  readonly hasKey: boolean;
  readonly key: string | null;
  readonly keyIsBase64: boolean;
  /** The key of a pair of key and value is null. */
  readonly nullKey: boolean;
  readonly orderingKeyHex: string | null;
  readonly properties: Readonly<Record<string, string>>;
  /** As written: in order, and with names that stand there twice. */
  readonly propertyList: readonly Property[];
  /** 0: none. */
  readonly eventTime: number;
  readonly publishTime: number;
  /** When the broker stored it; 0: it does not say. */
  readonly brokerTime: number;
  /** 0: none. */
  readonly deliverAtTime: number;
  readonly schemaVersionHex: string | null;
  readonly nullValue: boolean;
  readonly replicatedFrom: string | null;
  readonly bodySha256: string;
  readonly bodyLength: number;
  /** Null above 1024 bytes. */
  readonly bodyHex: string | null;
  /** The entry's own metadata; for a batch, consumers do not see it. */
  readonly entry: PulsarEntry;
};

export type PulsarEntry = {
  readonly producer: string;
  readonly sequenceId: number;
  readonly highestSequenceId: number | null;
  readonly compression: 'NONE' | 'LZ4' | 'ZLIB' | 'ZSTD' | 'SNAPPY';
  /** Null: not in batch format. */
  readonly messages: number | null;
  readonly properties: readonly Property[];
};

export type Property = readonly [name: string, value: string];

/** A message to be sent as described; `body` is text, `bodyHex` bytes, neither of them: a null value. */
export type PulsarMessage = {
  readonly body?: string;
  readonly bodyHex?: string;
  readonly key?: string;
  /** A key of bytes; the client keeps it as base64. */
  readonly keyHex?: string;
  /** As of a pair whose key is null. */
  readonly nullKey?: boolean;
  readonly orderingKeyHex?: string;
  readonly properties?: Readonly<Record<string, string>>;
  readonly eventTime?: number;
  readonly sequenceId?: number;
  readonly deliverAfterMs?: number;
  /** Default 0. */
  readonly partition?: number;
};

export type PulsarSendOptions = {
  /** All messages of a partition in one entry; else each is an entry of its own, without batch format. */
  readonly batch?: boolean;
  /** One entry per key. */
  readonly keyBased?: boolean;
  /** By the schema that the topic has, whose version each message then names. */
  readonly schema?: boolean;
  readonly compression?: PulsarEntry['compression'];
  readonly chunking?: boolean;
  readonly chunkBytes?: number;
  /** Producer name, with `-` and the partition's number behind it. */
  readonly producer?: string;
  /** Encrypts with it: a `data:` URL of a PEM. */
  readonly publicKey?: string;
  /** In this transaction, of `begin`. */
  readonly transaction?: number;
  /** The next call with the same options uses the same producers, which saves their opening; one call at a time per partition. */
  readonly keep?: boolean;
};

export type PulsarReceipt = { readonly partition: number; readonly messageId: string };

/** Messages `from` to `from + count - 1`: property `seq` is the number, and key, partition and random body follow from it. */
export type PulsarLoadOptions = {
  readonly count: number;
  readonly from?: number;
  /** Body bytes; default 128. */
  readonly size?: number;
  /** How many different keys, each in one partition; default 1000; 0: no keys. */
  readonly keys?: number;
  /** The key as ordering key too. */
  readonly sharding?: boolean;
  /** Messages per entry, exactly so many but for the last; default as many as fit into 1 MB, 500 at most; 1 where `rate` is given: no batch format. */
  readonly batch?: number;
  /** Messages per second over all partitions; default: as fast as possible. */
  readonly rate?: number;
  /** A Pulsar client always is, so it changes nothing. */
  readonly stubborn?: boolean;
  readonly compression?: PulsarEntry['compression'];
};

export type ConsumeOptions = {
  readonly subscription: string;
  readonly type: 'Key_Shared' | 'Failover' | 'Shared' | 'Exclusive';
  readonly consumers: number;
  /** Ends after so many messages, or when none came for `quietMs` (default 5000). */
  readonly expect: number;
  readonly quietMs?: number;
  readonly idProperty?: string;
};

export type PulsarReadOptions = {
  /** Leaves `propertyList` empty, which needs a request of its own for each entry. */
  readonly decoded?: boolean;
  /** Decrypts with it: a `data:` URL of a PEM. */
  readonly privateKey?: string;
};

export type PulsarEyes = {
  /** Topics as full names, `persistent://tenant/namespace/name`. `partitions: 0` makes a topic without partitions. */
  createTopic(topic: string, partitions: number): Promise<void>;
  /** Keeps for an hour what all subscriptions have acknowledged, which would be gone when a ledger ends. Resolves when the broker says so. */
  retain(topic: string): Promise<void>;
  /** With its partitions and subscriptions, whoever is connected. */
  deleteTopic(topic: string): Promise<void>;
  /** The entries' order is the messages' order within each partition. */
  /** Begins a transaction, which ends by itself after 5 minutes; gives its number. */
  begin(): Promise<number>;
  end(transaction: number, how: 'commit' | 'abort'): Promise<void>;
  send(topic: string, messages: readonly PulsarMessage[], options?: PulsarSendOptions): Promise<readonly PulsarReceipt[]>;
  load(topic: string, options: PulsarLoadOptions): Promise<number>;
  /** Names of the partitioned topics of a namespace, `tenant/namespace`. */
  partitionedTopics(namespace: string): Promise<readonly string[]>;
  /** How many messages the brokers have taken for the topic since it was loaded; also right while it grows. */
  messagesIn(topic: string): Promise<number>;
  /** Every message of the topic, partition by partition, from the earliest to the one that is last now. */
  read(topic: string, options?: PulsarReadOptions): Promise<readonly PulsarRow[]>;
  /** What each message says by the schema that it names, field by field. */
  fields(topic: string): Promise<readonly Readonly<Record<string, string | null>>[]>;
  /** The same in short, for large topics; `idProperty` is the property that tells messages apart, default `seq`. */
  readRows(topic: string, options?: { readonly idProperty?: string }): Promise<readonly StoredRow[]>;
  /** Reads all and counts; `idProperty` (default `seq`) has to be a whole number below 2^31. */
  count(
    topic: string,
    options?: { readonly idProperty?: string },
  ): Promise<{ readonly messages: number; readonly distinct: number }>;
  /** Several consumers on one subscription, from the earliest on; rows in order of arrival over all of them. */
  consume(topic: string, options: ConsumeOptions): Promise<readonly ConsumedRow[]>;
  /** Follows the topic from its end: resolves when it listens; `arrived` resolves after `count` messages or `timeoutMs`. */
  tail(
    topic: string,
    options: { readonly count: number; readonly timeoutMs: number; readonly idProperty?: string },
  ): Promise<{ readonly arrived: Promise<readonly Arrival[]> }>;
};

type CompactRow = readonly [lane: string, place: number, id: string | null, key: string | null, publishTime: number];
type CompactConsumedRow = readonly [consumer: number, lane: string, place: number, id: string | null, key: string | null];

export function pulsarEyes(ask: Ask, adminUrl: string): PulsarEyes {
  const admin = adminRest(adminUrl);
  return {
    createTopic: async (topic, partitions) => {
      if (partitions === 0) await admin('PUT', restPath(topic));
      else await admin('PUT', `${restPath(topic)}/partitions`, String(partitions));
    },
    retain: async (topic) => {
      const path = `${restPath(topic)}/retention`;
      await admin('POST', path, JSON.stringify({ retentionTimeInMinutes: 60, retentionSizeInMB: -1 }));
      // Policies travel through a topic of their own.
      for (let i = 0; i < 100 && !(await admin('GET', path)); i++) await sleep(100);
    },
    deleteTopic: async (topic) => {
      await admin('DELETE', `${restPath(topic)}/partitions?force=true`);
    },
    begin: async () => await ask({ verb: 'pulsar-begin' }),
    end: async (transaction, how) => await ask({ verb: 'pulsar-end', transaction, commit: how === 'commit' }),
    send: async (topic, messages, options = {}) => await ask({ verb: 'pulsar-send', topic, messages, ...options }),
    load: async (topic, options) => await ask({ verb: 'pulsar-load', topic, ...options }),
    partitionedTopics: async (namespace) => await admin('GET', `persistent/${namespace}/partitioned`),
    messagesIn: async (topic) => {
      const stats: { readonly msgInCounter: number } = await admin(
        'GET',
        `${restPath(topic)}/partitioned-stats?perPartition=false`,
      );
      return stats.msgInCounter;
    },
    read: async (topic, options = {}) => {
      const rows: PulsarRow[] = [];
      await ask({ verb: 'pulsar-read', topic, adminUrl, ...options }, (row: PulsarRow) => rows.push(row));
      return rows;
    },
    fields: async (topic) => {
      const rows: Readonly<Record<string, string | null>>[] = [];
      await ask({ verb: 'pulsar-fields', topic }, (row: Readonly<Record<string, string | null>>) => rows.push(row));
      return rows;
    },
    readRows: async (topic, options = {}) => {
      const rows: StoredRow[] = [];
      await ask({ verb: 'pulsar-read', topic, compact: true, ...options }, ([lane, place, id, key, storeTimestamp]: CompactRow) =>
        rows.push({ lane, place, id, key, storeTimestamp }),
      );
      return rows;
    },
    count: async (topic, options = {}) => await ask({ verb: 'pulsar-count', topic, ...options }),
    consume: async (topic, options) => {
      const rows: ConsumedRow[] = [];
      await ask({ verb: 'pulsar-consume', topic, ...options }, ([consumer, lane, place, id, key]: CompactConsumedRow) =>
        rows.push({ consumer, lane, place, id, key }),
      );
      return rows;
    },
    tail: async (topic, options) => await follow(ask, { verb: 'pulsar-tail', topic, ...options }),
  };
}

function adminRest(adminUrl: string): <Result>(method: string, path: string, body?: string) => Promise<Result> {
  return async <Result>(method: string, path: string, body?: string) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${adminUrl}/admin/v2/${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    // The shape is the caller's knowledge of the admin REST; PUT and DELETE answer nothing.
    return (text === '' ? undefined : JSON.parse(text)) as Result;
  };
}

/** `persistent://tenant/namespace/name` as a path of the admin REST. */
function restPath(topic: string): string {
  const [domain, rest] = topic.split('://');
  const [tenant, namespace, name] = rest?.split('/') ?? [];
  if (domain === undefined || tenant === undefined || namespace === undefined || name === undefined) {
    throw new Error(`not a full topic name: ${topic}`);
  }
  return [domain, tenant, namespace, encodeURIComponent(name)].join('/');
}

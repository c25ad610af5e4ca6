import { toIsthmusError } from '../../../errors.ts';
import type { Log } from '../../../spi/log.ts';
import { readIdentity } from '../message/decode.ts';
import { storedProperty } from '../message/stored-property.ts';
import { accepted } from '../refusal.ts';
import { UNIQUE_KEY_NAME } from '../sink/encode/names.ts';
import { type LookParts, lookEncoder, pullRange, type QueuePlace } from '../sink/look/queue-look.ts';
import { ResponseCode } from '../wire/codes.ts';
import { queryByUniqueKey } from '../wire/query-message.ts';
import { getTopicStats, type QueueStats, readTopicStats } from '../wire/topic-stats.ts';

/** More messages that wait in retry topics are not followed one by one. */
export const MAX_OUTSTANDING = 1_000;
const MAX_KEPT = 100_000;
const COPIES = 8;
const QUEUE_ID_AT = 12;
const RETRY_TOPIC_NAME: Buffer = Buffer.from('RETRY_TOPIC\u0001', 'latin1');

/** A message that a group was given and has not done, by its first place. */
export interface Outstanding {
  readonly queueId: number;
  readonly offset: number;
}

/** A retry topic of a group at one broker. */
export interface RetryTopic {
  readonly address: string;
  readonly topic: string;
  /** From which offset on messages of a queue wait. */
  readonly next: (queueId: number) => number;
}

/** Finds out where messages that wait in retry topics were first: consumers of the other side have to get them, too. */
export class Retries {
  readonly #parts: LookParts;
  readonly #log: Log;
  /** By broker, topic and unique key; found places do not change. */
  readonly #places = new Map<string, Outstanding | undefined>();

  constructor(parts: LookParts, log: Log) {
    this.#parts = parts;
    this.#log = log;
  }

  /** The first places, in `topic` at the same broker, of what waits in these retry topics; `undefined` when they are too many, or one of them cannot be found. */
  async outstanding(topic: string, retries: readonly RetryTopic[]): Promise<readonly Outstanding[] | undefined> {
    const found: Outstanding[] = [];
    for (const { address, topic: retry, next } of retries) {
      for (const { queueId, minOffset, maxOffset: end } of await this.#queues(address, retry)) {
        const from = Math.max(minOffset, next(queueId));
        if (end - from + found.length > MAX_OUTSTANDING) return undefined;
        for (const key of await this.#keysIn({ address, topic: retry, queueId }, from, end, topic)) {
          const place = await this.#placeOf(address, topic, key);
          if (place === undefined) return undefined;
          found.push(place);
        }
      }
    }
    return found;
  }

  /** Never remembered ones: a message that has come in since would be passed over. */
  async #queues(address: string, retry: string): Promise<readonly QueueStats[]> {
    const answer = await this.#parts.network.call(address, getTopicStats(retry));
    // Groups that only pull have none, and groups outlive theirs.
    if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return [];
    return readTopicStats(accepted(answer, `looking up the ends of ${retry}`));
  }

  async #keysIn(queue: QueuePlace, from: number, to: number, topic: string): Promise<string[]> {
    if (from >= to) return [];
    const keys: string[] = [];
    for (const answer of await pullRange(this.#parts, lookEncoder(this.#parts, queue), queue, from, to)) {
      for (let at = 0; at < answer.body.length; ) {
        const { end } = readIdentity(answer.body, at);
        const origin = storedProperty(answer.body, at, end, RETRY_TOPIC_NAME);
        // One retry topic serves all topics of a push group.
        if (origin === undefined || origin === topic) keys.push(storedProperty(answer.body, at, end, UNIQUE_KEY_NAME) ?? '');
        at = end;
      }
      this.#parts.frames.give(answer.body);
    }
    return keys;
  }

  async #placeOf(address: string, topic: string, key: string): Promise<Outstanding | undefined> {
    const kept = `${address} ${topic} ${key}`;
    const known = this.#places.get(kept);
    if (known !== undefined) return known;
    const place = await this.#query(address, topic, key);
    if (this.#places.size >= MAX_KEPT) this.#places.clear();
    if (place !== undefined) this.#places.set(kept, place);
    return place;
  }

  /** The oldest message with this key, which is the one that was handed out. */
  async #query(address: string, topic: string, key: string): Promise<Outstanding | undefined> {
    if (key === '') return undefined;
    const answer = await this.#parts.network.call(address, queryByUniqueKey(topic, key, COPIES));
    if (answer.code === ResponseCode.QUERY_NOT_FOUND) return undefined;
    const { body } = accepted(answer, `looking for the message ${key} of ${topic}`);
    let place: Outstanding | undefined;
    try {
      for (let at = 0; at < body.length; ) {
        const { offset, end } = readIdentity(body, at);
        const queueId = body.readInt32BE(at + QUEUE_ID_AT);
        // Brokers find by a hash of the key, and leave it to their clients to compare.
        const same = storedProperty(body, at, end, UNIQUE_KEY_NAME) === key;
        if (same && (place === undefined || offset < place.offset)) place = { queueId, offset };
        at = end;
      }
    } catch (error) {
      this.#log.warn('retry-not-found', { topic, key, detail: toIsthmusError(error).message });
    }
    return place;
  }
}

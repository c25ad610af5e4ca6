import { IsthmusError } from '../../errors.ts';
import type { TopicDescription } from '../../model/lane.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import type { Clock } from '../../spi/clock.ts';

/** A message as a fake producer sends it. */
export interface MemoryMessage {
  readonly body: Buffer;
  readonly key?: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Text of an `ISTHMUS` property: the message was mirrored to here. */
  readonly mark?: string | undefined;
  /** Why the reading driver cannot make a record of it. */
  readonly damage?: string | undefined;
}

export interface StoredMessage extends MemoryMessage {
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly storeTime: number;
}

/** A queue: offsets from `begin` to `end`; what lies before `begin` has expired. */
class Queue {
  readonly broker: string;
  begin = 0;
  readonly messages: StoredMessage[] = [];
  waiting: (() => void)[] = [];
  /** Where the queue was cut, each time. */
  readonly cuts: number[] = [];

  constructor(broker: string) {
    this.broker = broker;
  }

  get end(): number {
    return this.messages.length;
  }
}

/** A cluster of queues with offsets and committed group offsets, as RocketMQ has them: what all its clients see. */
export class QueueBroker {
  readonly #clock: Clock;
  readonly #topics = new Map<string, Map<string, Queue>>();
  readonly #groups = new Map<string, number>();
  readonly #away = new Set<string>();
  /** Consumers that are connected, by group. */
  readonly members: Map<string, number> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get topics(): string[] {
    return [...this.#topics.keys()].sort();
  }

  /** Adds queues until the topic has `count` in all, whichever brokers have them. */
  growTo(topic: string, broker: string, count: number): void {
    const names = [...(this.#topics.get(topic)?.keys() ?? [])];
    const own = names.filter((name) => name.startsWith(`${broker}:`)).length;
    if (names.length < count || names.length === 0) this.addQueues(topic, broker, own + count - names.length);
  }

  /** Adds queues `broker:0` up to `broker:count-1` to a topic; existing ones stay. */
  addQueues(topic: string, broker: string, count: number): void {
    const queues = this.#topics.get(topic) ?? new Map<string, Queue>();
    this.#topics.set(topic, queues);
    for (let id = 0; id < count; id++) if (!queues.has(`${broker}:${id}`)) queues.set(`${broker}:${id}`, new Queue(broker));
  }

  deleteTopic(topic: string): void {
    this.#topics.delete(topic);
  }

  /** A broker that is away answers nothing and is missing in descriptions. */
  setAway(broker: string, away: boolean): void {
    if (away) this.#away.add(broker);
    else this.#away.delete(broker);
  }

  /** Gives the message's offset. */
  produce(topic: string, lane: string, message: MemoryMessage): number {
    return this.store(topic, lane, [message]);
  }

  /** Stores messages side by side, all or none; gives the first one's offset. */
  store(topic: string, lane: string, messages: readonly MemoryMessage[]): number {
    const queue = this.#queue(topic, lane);
    const offset = queue.end;
    messages.forEach((message, i) => queue.messages.push({ ...message, offset: offset + i, storeTime: this.#clock.now() }));
    const waiting = queue.waiting;
    queue.waiting = [];
    for (const wake of waiting) wake();
    return offset;
  }

  /** Lets everything before an offset expire. */
  expire(topic: string, lane: string, before: number): void {
    const queue = this.#queue(topic, lane);
    queue.begin = Math.max(queue.begin, Math.min(before, queue.end));
  }

  /** Takes the tail away, as a failover to a replica that was behind does: the next messages get the same offsets. */
  cut(topic: string, lane: string, end: number): void {
    const queue = this.#queue(topic, lane);
    queue.messages.length = Math.min(end, queue.messages.length);
    queue.cuts.push(end);
  }

  /** How often a queue was cut, and the lowest place of the cuts since the `known` first ones. */
  cuts(topic: string, lane: string, known = 0): { readonly count: number; readonly lowest: number | undefined } {
    const { cuts } = this.#queue(topic, lane);
    return { count: cuts.length, lowest: cuts.length > known ? Math.min(...cuts.slice(known)) : undefined };
  }

  /** All that was produced and not cut off, expired or not. */
  history(topic: string, lane: string): readonly StoredMessage[] {
    return this.#queue(topic, lane).messages;
  }

  describe(topic: string): TopicDescription | undefined {
    const queues = this.#topics.get(topic);
    if (queues === undefined) return undefined;
    const lanes = [...queues]
      .filter(([, queue]) => !this.#away.has(queue.broker))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([lane]) => ({ lane, readable: true, writable: true }));
    return { topic, lanes, settings: {} };
  }

  isReachable(topic: string, lane: string): boolean {
    return !this.#away.has(this.#queue(topic, lane).broker);
  }

  /** Rejects (throws) with CONNECT_FAILED while the queue's broker is away. */
  extent(topic: string, lane: string): { readonly begin: number; readonly end: number } {
    const { begin, end } = this.#reachable(topic, lane);
    return { begin, end };
  }

  /** Messages from an offset on; none when the offset is the end or has expired. */
  read(topic: string, lane: string, from: number, most: number): readonly StoredMessage[] {
    const queue = this.#reachable(topic, lane);
    return from < queue.begin ? [] : queue.messages.slice(from, from + most);
  }

  /** Runs something at the broker after a while, whatever has become of the process that asked for it. */
  later(millis: number, run: () => void): void {
    this.#clock.timer(millis, run);
  }

  /** Calls `wake` once when the queue has grown. */
  whenGrown(topic: string, lane: string, wake: () => void): void {
    this.#queue(topic, lane).waiting.push(wake);
  }

  commit(topic: string, lane: string, group: string, offset: number): void {
    this.#reachable(topic, lane);
    this.#groups.set(`${group} ${topic} ${lane}`, offset);
  }

  committed(topic: string, lane: string, group: string): number | undefined {
    this.#reachable(topic, lane);
    return this.#groups.get(`${group} ${topic} ${lane}`);
  }

  /** Places of groups in a topic, by name and lane. Throws CONNECT_FAILED while one of its brokers is away. */
  places(topic: string): Map<string, Map<string, Position>> {
    const places = new Map<string, Map<string, Position>>();
    for (const lane of this.lanes(topic)) this.#reachable(topic, lane);
    for (const [key, offset] of this.#groups) {
      const [group = '', of, lane = ''] = key.split(' ');
      if (of === topic) places.set(group, (places.get(group) ?? new Map()).set(lane, offsetPosition(offset)));
    }
    return places;
  }

  setPlace(topic: string, lane: string, group: string, next: Position): void {
    this.commit(topic, lane, group, next.major);
  }

  /** Deletes all groups. */
  forgetGroups(): void {
    this.#groups.clear();
  }

  /** As `committed`, for onlookers: also while the broker is away. */
  peekCommitted(topic: string, lane: string, group: string): number | undefined {
    return this.#groups.get(`${group} ${topic} ${lane}`);
  }

  /** What lies before has expired. */
  begin(topic: string, lane: string): number {
    return this.#queue(topic, lane).begin;
  }

  /** All queues of a topic, also those of brokers that are away. */
  lanes(topic: string): string[] {
    return [...(this.#topics.get(topic)?.keys() ?? [])].sort();
  }

  #queue(topic: string, lane: string): Queue {
    const queue = this.#topics.get(topic)?.get(lane);
    if (queue === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `looking for ${topic} ${lane}: there is none`);
    return queue;
  }

  #reachable(topic: string, lane: string): Queue {
    const queue = this.#queue(topic, lane);
    if (this.#away.has(queue.broker)) throw new IsthmusError('CONNECT_FAILED', `asking ${queue.broker}: it is away`);
    return queue;
  }
}

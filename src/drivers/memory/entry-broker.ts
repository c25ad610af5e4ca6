import type { TopicDescription } from '../../model/lane.ts';
import { comparePositions, entryPosition, type Position } from '../../model/position.ts';
import type { Clock } from '../../spi/clock.ts';
import type { LaneExtent } from '../../spi/source.ts';

/** A record as it lies in an entry. */
export interface StoredRecord {
  readonly body: Buffer;
  readonly key: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Text of the record's own `ISTHMUS` property, where it came from elsewhere before. */
  readonly mark: string | undefined;
}

/** What a producer sends: records under one mark. */
export interface MemoryEntry {
  readonly records: readonly StoredRecord[];
  /** Text of the entry's `ISTHMUS` property, `undefined` where somebody else wrote it. */
  readonly mark: string | undefined;
  /** False: a single message without a batch around it. */
  readonly batched?: boolean | undefined;
  /** Whether its writer says that records in it have marks of their own. */
  readonly inner?: boolean | undefined;
}

export interface StoredEntry extends MemoryEntry {
  /** That of the entry; the records of a batch have indexes. */
  readonly position: Position;
  /** Milliseconds since 1970. */
  readonly storeTime: number;
  readonly producer: MemoryProducer | undefined;
}

interface Sent {
  readonly entry: MemoryEntry;
  readonly receipt: (position: Position) => void;
}

/** Entries in a ledger; the next one then begins, as brokers roll them. */
const LEDGER_ENTRIES = 16;

/** A producer's end at the broker: what it was sent and has not stored yet. */
export class MemoryProducer {
  readonly name: string;
  /** The process that it belongs to. */
  readonly session: object;
  readonly inbox: Sent[] = [];
  readonly onKicked: () => void;
  connected = true;

  constructor(name: string, session: object, onKicked: () => void) {
    this.name = name;
    this.session = session;
    this.onKicked = onKicked;
  }
}

class Partition {
  readonly entries: StoredEntry[] = [];
  trimmed = 0;
  readonly cursors = new Map<string, Position>();
  waiting: (() => void)[] = [];
  readonly producers = new Map<string, MemoryProducer>();
}

/**
 * A cluster of partitions that hold entries, as Pulsar has them: what all its clients see. A producer name belongs to one connected
 * producer at a time; entries that were accepted are stored in order, also when their sender is gone by then.
 */
export class EntryBroker {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #topics = new Map<string, Partition[]>();
  /** Consumers that are connected, by subscription. */
  readonly members: Map<string, number> = new Map();

  /** `clock` is the broker's own: it goes on when a process is killed. */
  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get topics(): string[] {
    return [...this.#topics.keys()].sort();
  }

  describe(topic: string): TopicDescription | undefined {
    const partitions = this.#topics.get(topic);
    if (partitions === undefined) return undefined;
    const lanes = partitions.map((_, partition) => ({ lane: String(partition), readable: true, writable: true }));
    return { topic, lanes, settings: {} };
  }

  ensureTopic(topic: string, partitions: number): number {
    const there = this.#topics.get(topic) ?? [];
    while (there.length < partitions) there.push(new Partition());
    this.#topics.set(topic, there);
    return there.length;
  }

  deleteTopic(topic: string): void {
    this.#topics.delete(topic);
  }

  /** The entries that the partition still has. */
  entries(topic: string, partition: number): readonly StoredEntry[] {
    const found = this.#partition(topic, partition);
    return found.entries.slice(found.trimmed);
  }

  /** All entries that were ever stored. */
  history(topic: string, partition: number): readonly StoredEntry[] {
    return this.#partition(topic, partition).entries;
  }

  /** Where the entries begin that it still has, and where they end. */
  extent(topic: string, partition: number): LaneExtent {
    const { entries, trimmed } = this.#partition(topic, partition);
    const last = entries.at(-1)?.position;
    const end = last === undefined ? placeOf(0) : entryPosition(last.major, last.minor + 1);
    return { begin: entries[trimmed]?.position ?? end, end };
  }

  /** Calls `wake` once when the partition has grown. */
  whenGrown(topic: string, partition: number, wake: () => void): void {
    this.#partition(topic, partition).waiting.push(wake);
  }

  /** A cursor lies between entries: of one that is done in part, nothing is acknowledged. */
  commit(topic: string, partition: number, group: string, { major, minor }: Position): void {
    this.#partition(topic, partition).cursors.set(group, entryPosition(major, minor));
  }

  committed(topic: string, partition: number, group: string): Position | undefined {
    return this.#partition(topic, partition).cursors.get(group);
  }

  /** Places of subscriptions in a topic, by name and lane. */
  places(topic: string): Map<string, Map<string, Position>> {
    const places = new Map<string, Map<string, Position>>();
    for (const [partition, { cursors }] of (this.#topics.get(topic) ?? []).entries())
      for (const [group, place] of cursors) places.set(group, (places.get(group) ?? new Map()).set(String(partition), place));
    return places;
  }

  setPlace(topic: string, lane: string, group: string, next: Position): void {
    this.commit(topic, Number(lane), group, next);
  }

  /** Deletes all subscriptions. */
  forgetGroups(): void {
    for (const partition of [...this.#topics.values()].flat()) partition.cursors.clear();
  }

  /** Forgets the oldest entries, as retention does. */
  trim(topic: string, partition: number, keep: number): void {
    const found = this.#partition(topic, partition);
    found.trimmed = Math.max(found.trimmed, found.entries.length - keep);
  }

  /** The producer of a name; `undefined` while another connected one has it. What a former one had accepted is stored first. */
  attach(topic: string, partition: number, name: string, session: object, onKicked: () => void): MemoryProducer | undefined {
    const { producers } = this.#partition(topic, partition);
    const before = producers.get(name);
    if (before?.connected === true) return undefined;
    if (before !== undefined) while (before.inbox.length > 0) this.#storeHead(topic, partition, before);
    const producer = new MemoryProducer(name, session, onKicked);
    producers.set(name, producer);
    return producer;
  }

  /** Stores the entry after a while; `receipt` is called then, unless the producer is disconnected before. */
  send(topic: string, partition: number, producer: MemoryProducer, sent: Sent): void {
    if (!producer.connected) return;
    producer.inbox.push(sent);
    if (producer.inbox.length === 1) this.#storeSoon(topic, partition, producer);
  }

  /** The connection of a producer is gone. Of what was on its way the first `accepted` entries will still be stored. */
  disconnect(producer: MemoryProducer, accepted: number): void {
    producer.connected = false;
    producer.inbox.splice(accepted);
  }

  /** Ends the connection of whoever writes a partition; gives how many there were. */
  kick(topic: string, partition: number): number {
    const connected = [...this.#partition(topic, partition).producers.values()].filter((each) => each.connected);
    for (const producer of connected) {
      this.#breakOff(producer);
      producer.onKicked();
    }
    return connected.length;
  }

  /** A process is gone: its connections end, and its names are free. What was on its way may be stored in part. */
  endSession(session: object): void {
    for (const partition of [...this.#topics.values()].flat()) {
      for (const producer of partition.producers.values()) {
        if (producer.session === session && producer.connected) this.#breakOff(producer);
      }
    }
  }

  #breakOff(producer: MemoryProducer): void {
    this.disconnect(producer, Math.floor(this.#random() * (producer.inbox.length + 1)));
  }

  #storeSoon(topic: string, partition: number, producer: MemoryProducer): void {
    this.#clock.timer(this.#random() * 4, () => {
      if (producer.inbox.length === 0) return;
      this.#storeHead(topic, partition, producer);
      if (producer.inbox.length > 0) this.#storeSoon(topic, partition, producer);
    });
  }

  #storeHead(topic: string, partition: number, producer: MemoryProducer): void {
    const sent = producer.inbox.shift();
    if (sent === undefined) return;
    const position = this.#store(topic, partition, sent.entry, producer);
    if (producer.connected) sent.receipt(position);
  }

  /** Stores an entry at once; without a producer it is somebody else's. */
  store(topic: string, partition: number, entry: MemoryEntry): Position {
    return this.#store(topic, partition, entry, undefined);
  }

  #store(topic: string, partition: number, entry: MemoryEntry, producer: MemoryProducer | undefined): Position {
    const found = this.#partition(topic, partition);
    const position = placeOf(found.entries.length);
    found.entries.push({ ...entry, position, producer, storeTime: this.#clock.now() });
    for (const wake of found.waiting.splice(0)) wake();
    return { ...position, index: entry.batched === false ? -1 : 0 };
  }

  /** What another producer of this name has stored after a place. */
  writtenByOthers(topic: string, partition: number, name: string, own: ReadonlySet<MemoryProducer>, after: Position): boolean {
    return this.history(topic, partition).some(
      ({ position, producer }) => producer?.name === name && !own.has(producer) && comparePositions(position, after) > 0,
    );
  }

  #partition(topic: string, partition: number): Partition {
    const found = this.#topics.get(topic)?.[partition];
    if (found === undefined) throw new Error(`no partition ${partition} of ${topic}`);
    return found;
  }
}

/** The place of a partition's `number`th entry. */
function placeOf(number: number): Position {
  return entryPosition(10 + 3 * Math.floor(number / LEDGER_ENTRIES), number % LEDGER_ENTRIES);
}

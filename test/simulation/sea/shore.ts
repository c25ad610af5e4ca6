import { openEntryCluster, openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import type { MemoryNetwork } from '../../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance, type MarkCodec } from '../../../src/model/provenance.ts';
import type { Clock } from '../../../src/spi/clock.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Row } from '../../checkers/row.ts';
import type { SeededRandom } from '../random.ts';
import { type ClusterPlan, TOPIC } from './plan.ts';

/** A record that an application wrote. */
export interface Written extends Row {
  readonly id: string;
  readonly cluster: string;
  readonly tag: string | undefined;
}

/** One fake cluster with its applications, as onlookers see it. */
export class Shore {
  readonly plan: ClusterPlan;
  readonly written: Written[] = [];
  awayUntil = 0;
  readonly #queues: QueueBroker | undefined;
  readonly #entries: EntryBroker | undefined;
  readonly #marks: MarkCodec;

  constructor(plan: ClusterPlan, clock: Clock, random: () => number, marks: MarkCodec) {
    this.plan = plan;
    this.#marks = marks;
    if (plan.kind === 'queue') this.#queues = new QueueBroker(clock);
    else this.#entries = new EntryBroker(clock, random);
    if (plan.writes) this.grow(plan.lanes);
  }

  open(network: MemoryNetwork): Cluster {
    const { name } = this.plan;
    if (this.#queues !== undefined) return openQueueCluster(name, this.#queues, network, this.#marks);
    if (this.#entries !== undefined) return openEntryCluster(name, this.#entries, network, this.#marks);
    throw new Error('a cluster without a broker');
  }

  endSession(network: MemoryNetwork): void {
    this.#entries?.endSession(network);
  }

  /** Makes the topic have so many lanes at least. */
  grow(lanes: number): void {
    this.#queues?.growTo(TOPIC, 'broker-a', lanes);
    this.#entries?.ensureTopic(TOPIC, lanes);
  }

  get lanes(): readonly string[] {
    return this.#queues?.lanes(TOPIC) ?? this.#entries?.describe(TOPIC)?.lanes.map(({ lane }) => lane) ?? [];
  }

  setAway(away: boolean): void {
    this.#queues?.setAway('broker-a', away);
  }

  /** Somebody deletes all groups and subscriptions. */
  forgetGroups(): void {
    this.#queues?.forgetGroups();
    this.#entries?.forgetGroups();
  }

  /** Ends the connections of all producers. */
  kick(): void {
    for (const topic of this.#entries?.topics ?? []) {
      const partitions = this.#entries?.describe(topic)?.lanes.length ?? 0;
      for (let partition = 0; partition < partitions; partition++) this.#entries?.kick(topic, partition);
    }
  }

  /** An application writes some records into one lane; gives how many. */
  produce(most: number, keys: number, random: SeededRandom): number {
    const lane = random.pick(this.lanes);
    const batched = this.#entries !== undefined && random.chance(0.7);
    const count = batched ? random.between(1, Math.min(most, 6)) : 1;
    const records = Array.from({ length: count }, (_, i) => ({
      body: Buffer.from(`${this.plan.name}/${this.written.length + i}`),
      key: random.chance(0.85) ? `k${random.between(1, keys)}` : undefined,
      tag: random.chance(0.7) ? random.pick(['paid', 'open']) : undefined,
      mark: random.chance(0.1) ? this.#forge(random) : undefined,
    }));
    for (const { body, key, tag } of records) {
      const { name } = this.plan;
      this.written.push({ id: body.toString(), cluster: name, lane, place: this.written.length, key: key ?? null, tag });
    }
    for (const record of records) this.#queues?.produce(TOPIC, lane, record);
    this.#entries?.store(TOPIC, Number(lane), { records, batched, mark: undefined });
    return count;
  }

  /** Not a mark; or, where marks are sealed, one that says the record has been everywhere. */
  #forge(random: SeededRandom): string {
    if (this.#marks.seal('') === '' || random.chance(0.3)) return 'no mark at all';
    const runs = [{ first: offsetPosition(random.between(0, 99)), count: 1 }];
    return formatProvenance({ cluster: 'a', topic: TOPIC, lane: '0', runs, time: 0, passed: ['b', 'c'] });
  }

  /** All that was ever stored in a topic, in its order. */
  rows(topic: string): Row[] {
    const lanes = this.#queues?.lanes(topic) ?? this.#entries?.describe(topic)?.lanes.map(({ lane }) => lane) ?? [];
    return lanes.flatMap((lane) => {
      const records =
        this.#queues?.history(topic, lane) ?? this.#entries?.history(topic, Number(lane)).flatMap((entry) => entry.records) ?? [];
      return records.map(({ body, key }, place) => ({ lane, place, id: body.toString(), key: key ?? null }));
    });
  }

  /** How many entries or messages there are, to see at a glance whether something has come. */
  size(topic: string): number {
    return this.rows(topic).length;
  }
}

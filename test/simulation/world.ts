import { groupName } from '../../src/control/group-name.ts';
import { EntryBroker } from '../../src/drivers/memory/entry-broker.ts';
import { REFUSED_BODY } from '../../src/drivers/memory/lane-writer.ts';
import { type Faults, NO_FAULTS } from '../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../src/drivers/memory/queue-broker.ts';
import type { RoutingRule } from '../../src/model/mirror-spec.ts';
import { deadLetterTopicOf, targetTopicOf } from '../../src/model/topic-name.ts';
import { MemoryStore } from '../../src/state/memory/store.ts';
import { isFaithful, judge } from '../checkers/verdict.ts';
import { Ledger } from './ledger.ts';
import { drawMessage } from './message.ts';
import type { EventKind, Plan } from './plan.ts';
import { LINK, type LogLine, SimulatedProcess } from './process.ts';
import { SeededRandom } from './random.ts';
import { VirtualTime } from './virtual-time.ts';

const SETTLE_MILLIS = 300_000;
const KEY = { link: LINK.name, mirror: 'm' };

type TopicEvent = Extract<EventKind, 'new-queues' | 'expire' | 'kick'>;

/** What a run did, for people. */
export interface Outcome {
  readonly records: number;
  readonly stored: number;
  readonly gaps: number;
  readonly deadLetters: number;
  readonly restarts: number;
  readonly virtualSeconds: number;
}

/** A pair of fake clusters, the processes that mirror between them, and everything that goes wrong. */
export class World {
  readonly #plan: Plan;
  readonly #random: SeededRandom;
  readonly #time = new VirtualTime();
  readonly #source: QueueBroker;
  readonly #target: EntryBroker;
  readonly #store: MemoryStore;
  readonly #ledger: Ledger;
  readonly #processes: SimulatedProcess[] = [];
  readonly #closing: Promise<void>[] = [];
  readonly lines: string[] = [];
  #faults: Faults;
  #storeAwayUntil = 0;
  #targetAwayUntil = 0;
  /** As the plan has it, until routing is changed. */
  #routing: RoutingRule;
  #gaps = 0;
  #restarts = 0;
  /** The first thing that a watcher found wrong. */
  #wrong: Error | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed ^ 0x5eed);
    this.#source = new QueueBroker(this.#time.clock());
    this.#target = new EntryBroker(this.#time.clock(), this.#random.fork().next);
    this.#store = new MemoryStore(this.#random.fork().next);
    this.#ledger = new Ledger(this.#source, this.#target, plan.spec);
    this.#faults = plan.faults;
    this.#routing = plan.spec.routing;
  }

  async run(): Promise<Outcome> {
    for (const topic of this.#plan.topics) {
      for (const { name, queues } of this.#plan.brokers) this.#source.addQueues(topic, name, queues);
    }
    this.#produceSoon();
    this.#startProcess();
    for (const { at, kind } of this.#plan.events) {
      await this.#pass(at - this.#time.millis);
      await this.#happen(kind);
    }
    await this.#pass(this.#plan.chaosMillis - this.#time.millis);
    await this.#heal();
    await this.#waitUntilDone();
    await this.#pass(5_000);
    await this.#closeAll();
    return this.#judge();
  }

  async #pass(millis: number): Promise<void> {
    await this.#time.pass(Math.max(0, millis), () => this.#watch());
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  /** Called after every step: nobody may claim more than is stored. */
  #watch(): void {
    this.#guard(() => {
      for (const topic of this.#plan.topics) {
        for (const lane of this.#lanesOf(topic)) {
          const committed = this.#peekCommitted(topic, lane);
          if (committed !== undefined) this.#ledger.claim('the group offset', { topic, lane }, committed);
        }
      }
    });
  }

  #peekCommitted(topic: string, lane: string): number | undefined {
    return this.#source.peekCommitted(topic, lane, groupName({ link: 'l', mirror: 'm' }, 'west', this.#plan.spec));
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#wrong ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #lanesOf(topic: string): string[] {
    return this.#source.lanes(topic);
  }

  #startProcess(): void {
    const process: SimulatedProcess = new SimulatedProcess(
      {
        time: this.#time,
        source: this.#source,
        target: this.#target,
        store: this.#store,
        storeIsAway: () => this.#time.millis < this.#storeAwayUntil,
        faults: () => this.#faults,
        targetIsAway: () => this.#time.millis < this.#targetAwayUntil,
        spec: { ...this.#plan.spec, routing: this.#routing },
        budgetBytes: this.#plan.budgetBytes,
        onLog: (line) => this.#onLog(line),
        onCheckpoint: ({ lane, next }) => this.#guard(() => this.#ledger.claim('the checkpoint', lane, next.major)),
      },
      this.#random.fork(),
    );
    this.#processes.push(process);
  }

  #onLog({ level, event, fields }: LogLine): void {
    this.lines.push(`${this.#time.millis.toFixed(1).padStart(9)} ${level} ${event} ${JSON.stringify(fields)}`);
    if (this.lines.length > 2_000) this.lines.splice(0, 500);
    if (event === 'lane-waits' || event === 'lane-stopped') this.#restarts++;
    if (fields['code'] === 'INTERNAL') this.#wrong ??= new Error(`a defect shows itself: ${String(fields['detail'])}`);
    if (event !== 'source-gap') return;
    this.#gaps++;
    this.#ledger.noteGap(
      { topic: String(fields['topic']), lane: String(fields['lane']) },
      Number(fields['from']),
      Number(fields['to']),
    );
  }

  // --- what comes in ----------------------------------------------------------------------------------------------

  #produceSoon(): void {
    const random = this.#random.fork();
    const clock = this.#time.clock();
    for (let left = this.#plan.records; left > 0; ) {
      const burst = Math.min(left, random.between(1, 20));
      left -= burst;
      clock.timer(random.next() * this.#plan.chaosMillis * 0.95, () => {
        for (let i = 0; i < burst; i++) this.#produce(random);
      });
    }
  }

  #produce(random: SeededRandom): void {
    const topic = random.pick(this.#plan.topics);
    const lane = random.pick(this.#lanesOf(topic));
    const id = `${topic}/${lane}/${this.#source.history(topic, lane).length}`;
    this.#source.produce(topic, lane, drawMessage(id, this.#plan, random));
  }

  // --- what goes wrong --------------------------------------------------------------------------------------------

  async #happen(kind: EventKind): Promise<void> {
    this.lines.push(`${this.#time.millis.toFixed(1).padStart(9)} ---- ${kind}`);
    const process = this.#processes.findLast((each) => each.alive);
    switch (kind) {
      case 'kill':
        if (process !== undefined) await this.#kill(process);
        break;
      case 'roll':
        if (process !== undefined) this.#close(process);
        if (this.#random.chance(0.5)) await this.#pass(this.#random.between(0, 3_000));
        this.#startProcess();
        break;
      case 'pause':
        if (process !== undefined) this.#ask(process.supervisor.pauseMirror(KEY));
        await this.#pass(this.#random.between(0, 3_000));
        if (process !== undefined) this.#ask(process.supervisor.resumeMirror(KEY));
        break;
      case 'restart':
        if (process !== undefined) this.#ask(process.supervisor.restartMirror(KEY));
        break;
      case 'store-emptied':
        this.#store.empty();
        break;
      case 'store-away':
        this.#storeAwayUntil = this.#time.millis + this.#random.between(100, 10_000);
        break;
      case 'broker-away': {
        const { name } = this.#random.pick(this.#plan.brokers);
        this.#source.setAway(name, true);
        this.#time.clock().timer(this.#random.between(100, 8_000), () => this.#source.setAway(name, false));
        break;
      }
      case 'second-process':
        this.#startProcess();
        break;
      case 'target-away':
        this.#targetAwayUntil = this.#time.millis + this.#random.between(100, 10_000);
        for (const topic of this.#plan.topics) this.#kick(topic);
        break;
      case 'trim':
        if (process !== undefined) await this.#trim(process, this.#random.pick(this.#plan.topics));
        break;
      case 'reroute':
        if (process !== undefined) await this.#reroute(process);
        break;
      case 'new-queues':
      case 'expire':
      case 'kick':
        this.#happenAt(kind, this.#random.pick(this.#plan.topics));
    }
  }

  #happenAt(kind: TopicEvent, topic: string): void {
    switch (kind) {
      case 'new-queues':
        // A broker that sorts before the others would shift them all if places went by order.
        this.#source.addQueues(topic, this.#random.pick(['broker-a', 'broker-b']), this.#random.between(1, 4));
        break;
      case 'expire': {
        const lane = this.#random.pick(this.#lanesOf(topic));
        this.#source.expire(topic, lane, this.#random.between(0, this.#source.history(topic, lane).length));
        break;
      }
      case 'kick':
        this.#kick(topic);
        break;
    }
  }

  #kick(topic: string): void {
    const target = targetTopicOf(this.#plan.spec, topic);
    const partitions = this.#target.describe(target)?.lanes.length ?? 0;
    for (let partition = 0; partition < partitions; partition++) this.#target.kick(target, partition);
  }

  async #trim(process: SimulatedProcess, topic: string): Promise<void> {
    // What was stored in the last second before a kill is in no checkpoint yet; no retention is that short.
    if (process.supervisor.lanes(KEY).length === 0) return;
    await this.#pass(1_100);
    const target = targetTopicOf(this.#plan.spec, topic);
    const partitions = this.#target.describe(target)?.lanes.length ?? 0;
    for (let partition = 0; partition < partitions; partition++) this.#target.trim(target, partition, 64);
  }

  /** The configuration is changed while the process is down, and it went down badly. */
  async #reroute(process: SimulatedProcess): Promise<void> {
    // A lane that is killed in its first second has no checkpoint of its partitions yet, and nothing else knows them.
    const lanes = process.supervisor.lanes(KEY);
    if (lanes.length === 0 || lanes.some(({ state, recordsStored }) => state !== 'running' || recordsStored === 0)) return;
    await this.#pass(1_100);
    if (process.supervisor.lanes(KEY).length !== lanes.length) return;
    process.kill();
    process.endSession();
    await this.#pass(5_000);
    const byKey: RoutingRule = { mode: 'key', by: { kind: 'default' }, partitions: 3 };
    this.#routing = this.#routing.mode === 'key' ? { mode: 'identity' } : byKey;
    this.#startProcess();
  }

  /** Answers to people do not matter here; a conflict or a store that is away is as it should be. */
  #ask(answer: Promise<unknown>): void {
    answer.catch((error: unknown) => this.lines.push(`          ---- refused: ${String(error)}`));
  }

  async #kill(process: SimulatedProcess): Promise<void> {
    process.kill();
    this.#time.clock().timer(this.#random.pick([0, 10, 2_000]), () => process.endSession());
    if (this.#random.chance(0.5)) await this.#pass(this.#random.between(0, 3_000));
    this.#startProcess();
  }

  #close(process: SimulatedProcess): void {
    const before = this.#time.millis;
    const closing = process.supervisor.close().then(() => {
      const took = this.#time.millis - before;
      if (took > 10_000) this.#wrong ??= new Error(`closing took ${took} ms`);
      // A dead letter that is still on its way holds its batch until it is written.
      this.#time.clock().timer(2_000, () => {
        if (process.budget.usedBytes !== 0) this.#wrong ??= new Error(`${process.budget.usedBytes} bytes were never given back`);
      });
      process.alive = false;
      process.endSession();
    });
    this.#closing.push(closing);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  async #heal(): Promise<void> {
    this.#faults = { ...NO_FAULTS, refusals: this.#plan.spec.onBadRecord === 'dead-letter' };
    this.#storeAwayUntil = 0;
    this.#targetAwayUntil = 0;
    for (const { name } of this.#plan.brokers) this.#source.setAway(name, false);
    await this.#pass(12_000);
    for (const process of this.#processes) {
      if (!process.alive) continue;
      this.#ask(process.supervisor.resumeMirror(KEY));
      if (this.#plan.spec.onBadRecord === 'stop-lane') this.#ask(process.supervisor.restartMirror(KEY));
    }
  }

  #isBad = ({ body, damage }: { body: Buffer; damage?: string | undefined }): boolean =>
    this.#plan.spec.onBadRecord === 'dead-letter' && (damage !== undefined || body.toString().startsWith(REFUSED_BODY));

  async #waitUntilDone(): Promise<void> {
    const end = this.#time.millis + SETTLE_MILLIS;
    for (;;) {
      const left = this.#plan.topics.flatMap((topic) => this.#missing(topic));
      if (left.length === 0) return;
      if (this.#time.millis > end) throw new Error(`stuck: ${left.length} records never came, ${left.slice(0, 3).join(', ')}`);
      await this.#pass(500);
    }
  }

  #missing(topic: string): string[] {
    this.#ledger.targetRows(topic);
    const expected = this.#ledger.expected(topic, this.#lanesOf(topic), this.#isBad);
    const missing = expected.filter((row) => this.#ledger.isMissing(row)).map((row) => String(row.id));
    // Of two processes the one that waits may tell the source its older place last; that is behind the truth, and safe.
    const alone = !this.#plan.events.some(({ kind }) => kind === 'second-process' || kind === 'roll');
    const behind = (alone ? this.#lanesOf(topic) : [])
      .filter((lane) => this.#source.history(topic, lane).length > 0)
      .filter((lane) => this.#peekCommitted(topic, lane) !== this.#source.history(topic, lane).length)
      .map((lane) => `the group offset of ${topic} ${lane}`);
    return [...missing, ...behind];
  }

  async #closeAll(): Promise<void> {
    for (const process of this.#processes) if (process.alive) this.#close(process);
    let closed = false;
    const all = Promise.all(this.#closing).then(() => {
      closed = true;
    });
    for (let i = 0; i < 60 && !closed; i++) await this.#pass(1_000);
    if (!closed) throw new Error('a process was never closed');
    await all;
    await this.#pass(2_000);
  }

  #judge(): Outcome {
    const { spec } = this.#plan;
    const rerouted = this.#plan.events.some(({ kind }) => kind === 'reroute');
    let [records, stored] = [0, 0];
    for (const topic of this.#plan.topics) {
      const rows = this.#ledger.targetRows(topic);
      const expected = this.#ledger.expected(topic, this.#lanesOf(topic), this.#isBad);
      // Only one partition and one entry for all keys keep the order of a whole lane.
      const wholeLanes = spec.routing.mode === 'identity' && spec.batching === 'mixed';
      for (const per of wholeLanes ? (['key', 'lane'] as const) : (['key'] as const)) {
        const verdict = judge(expected, rows, per);
        // Between the partitions of before and after there is no order.
        const faithful = isFaithful(rerouted ? { ...verdict, reordered: 0 } : verdict);
        if (!faithful) throw new Error(JSON.stringify(verdict));
      }
      records += this.#lanesOf(topic).reduce((sum, lane) => sum + this.#source.history(topic, lane).length, 0);
      stored += rows.length;
    }
    const deadLetters = this.#judgeDeadLetters();
    return {
      records,
      stored,
      gaps: this.#gaps,
      deadLetters,
      restarts: this.#restarts,
      virtualSeconds: Math.round(this.#time.millis / 1000),
    };
  }

  /** A refused record is kept, at least once. */
  #judgeDeadLetters(): number {
    let count = 0;
    for (const topic of this.#plan.topics) {
      const dead = deadLetterTopicOf(this.#plan.spec, topic);
      const kept =
        this.#target.describe(dead) === undefined ? [] : this.#target.history(dead, 0).flatMap((entry) => entry.records);
      count += kept.length;
      for (const lane of this.#lanesOf(topic)) {
        for (const message of this.#source.history(topic, lane)) {
          if (this.#isBad(message)) this.#ledger.claimKept(topic, lane, message, kept);
        }
      }
    }
    return count;
  }
}

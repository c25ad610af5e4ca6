import { type Faults, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { keyedMarks } from '../../../src/lib/keyed-marks.ts';
import { comparePositions, entryAtOrAfter, parsePosition } from '../../../src/model/position.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import { targetTopicOf } from '../../../src/model/topic-name.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { isFaithful, judge } from '../../checkers/verdict.ts';
import type { LogLine } from '../process.ts';
import { SeededRandom } from '../random.ts';
import { VirtualTime } from '../virtual-time.ts';
import { type LinkPlan, type SeaEvent, type SeaPlan, TOPIC } from './plan.ts';
import { Shore, type Written } from './shore.ts';
import { Vessel, type Waters } from './vessel.ts';

const SETTLE_MILLIS = 400_000;
const IN_THE_MIDDLE: readonly SeaEvent[] = ['kill', 'freeze', 'respec', 'all-wiped'];

interface Journey {
  readonly from: Shore;
  readonly to: Shore;
  readonly topic: string;
  readonly expected: readonly Written[];
}

/** What a run did, for people. */
export interface SeaOutcome {
  readonly written: number;
  readonly mirrored: number;
  readonly restarts: number;
  readonly virtualSeconds: number;
}

/** Fake clusters in any shape, with applications that write to them, links between them, and everything that goes wrong. */
export class Sea {
  readonly #plan: SeaPlan;
  readonly #random: SeededRandom;
  readonly #time = new VirtualTime();
  readonly #store: MemoryStore;
  readonly #shores: readonly Shore[];
  readonly #waters: Waters;
  readonly #vessels: Vessel[] = [];
  readonly #closing: Promise<void>[] = [];
  readonly lines: string[] = [];
  #links: readonly LinkPlan[];
  #faults: Faults;
  #storeAwayUntil = 0;
  #restarts = 0;
  #launched = 0;
  #wrong: Error | undefined;

  constructor(plan: SeaPlan) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed ^ 0xc0de);
    this.#store = new MemoryStore(this.#random.fork().next);
    this.#links = plan.links;
    this.#faults = plan.faults;
    const marks = plan.sealed ? keyedMarks({ secrets: ['of the sea'], acceptUnsealed: false }) : plainMarks;
    this.#shores = plan.clusters.map((each) => new Shore(each, this.#time.clock(), this.#random.fork().next, marks));
    this.#waters = {
      time: this.#time,
      shores: this.#shores,
      links: this.#links,
      store: this.#store,
      storeIsAway: () => this.#time.millis < this.#storeAwayUntil,
      faults: () => this.#faults,
      marks,
      budgetBytes: plan.budgetBytes,
      onLog: (line) => this.#onLog(line),
    };
  }

  async run(): Promise<SeaOutcome> {
    for (const shore of this.#shores) if (shore.plan.writes) this.#produceSoon(shore);
    this.#launch();
    for (const { at, kind } of this.#plan.events) {
      await this.#pass(at - this.#time.millis);
      await this.#happen(kind);
    }
    await this.#pass(this.#plan.chaosMillis - this.#time.millis);
    this.#faults = NO_FAULTS;
    this.#storeAwayUntil = 0;
    for (const shore of this.#shores) {
      shore.awayUntil = 0;
      shore.setAway(false);
    }
    await this.#waitUntilDone();
    // What comes twice, or comes back, may come late.
    await this.#pass(20_000);
    await this.#closeAll();
    return this.#judge();
  }

  async #pass(millis: number): Promise<void> {
    await this.#time.pass(Math.max(0, millis));
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  #launch(): void {
    const name = `p${this.#launched++}`;
    this.#vessels.push(new Vessel(name, { ...this.#waters, links: this.#links }, this.#random.fork()));
  }

  #onLog({ level, event, fields }: LogLine): void {
    this.lines.push(`${this.#time.millis.toFixed(1).padStart(9)} ${level} ${event} ${JSON.stringify(fields)}`);
    if (this.lines.length > 3_000) this.lines.splice(0, 500);
    if (event === 'lane-waits' || event === 'lane-stopped') this.#restarts++;
    if (fields['code'] === 'INTERNAL') this.#wrong ??= new Error(`a defect shows itself: ${String(fields['detail'])}`);
  }

  #produceSoon(shore: Shore): void {
    const random = this.#random.fork();
    const clock = this.#time.clock();
    for (let left = this.#plan.records; left > 0; ) {
      const burst = Math.min(left, random.between(1, 20));
      left -= burst;
      clock.timer(random.next() * this.#plan.chaosMillis * 0.95, () => {
        for (let rest = burst; rest > 0; ) rest -= shore.produce(rest, this.#plan.keys, random);
      });
    }
  }

  // --- what goes wrong --------------------------------------------------------------------------------------------

  async #happen(kind: SeaEvent): Promise<void> {
    this.lines.push(`${this.#time.millis.toFixed(1).padStart(9)} ---- ${kind}`);
    const random = this.#random;
    const vessel = this.#vessels.findLast((each) => each.alive);
    const shore = random.pick(this.#shores);
    // In the middle of something, or hardly anything would be on its way.
    if (IN_THE_MIDDLE.includes(kind)) await this.#burst();
    switch (kind) {
      case 'kill':
        if (vessel !== undefined) this.#kill(vessel);
        if (random.chance(0.5)) await this.#pass(random.between(0, 3_000));
        this.#launch();
        break;
      case 'roll':
        if (vessel !== undefined) this.#close(vessel);
        if (random.chance(0.5)) await this.#pass(random.between(0, 3_000));
        this.#launch();
        break;
      case 'respec':
        this.#respec(vessel);
        await this.#pass(1_000);
        this.#launch();
        break;
      case 'second-process':
        this.#launch();
        break;
      case 'freeze':
        random.pick(this.#vessels.filter((each) => each.alive)).clock.freeze(random.between(100, 40_000));
        break;
      case 'clock-step':
        vessel?.clock.step(random.pick([-3_600_000, 3_600_000]));
        break;
      case 'restart':
        for (const { name } of this.#links)
          this.#ask(vessel?.supervisor.restartMirror({ link: name, mirror: 'm' }) ?? Promise.resolve());
        break;
      case 'store-emptied':
        this.#store.empty();
        break;
      case 'all-wiped':
        // Nobody is left who could write down what he knows.
        for (const each of this.#vessels) if (each.alive) this.#kill(each);
        await this.#pass(5_000);
        this.#store.empty();
        for (const each of this.#shores) each.forgetGroups();
        this.#launch();
        break;
      case 'store-away':
        this.#storeAwayUntil = this.#time.millis + random.between(100, 15_000);
        break;
      case 'grow':
        if (shore.plan.writes) shore.grow(shore.lanes.length + random.between(1, 2));
        break;
      case 'broker-away':
      case 'target-away':
      case 'kick':
        this.#harm(kind, shore);
    }
  }

  async #burst(): Promise<void> {
    for (const shore of this.#shores) {
      for (let left = shore.plan.writes ? 24 : 0; left > 0; ) left -= shore.produce(left, this.#plan.keys, this.#random);
    }
    await this.#pass(this.#random.next() * 6 * this.#faults.maxDelayMillis);
  }

  #harm(kind: 'broker-away' | 'target-away' | 'kick', shore: Shore): void {
    if (kind === 'broker-away') {
      shore.setAway(true);
      this.#time.clock().timer(this.#random.between(100, 8_000), () => shore.setAway(false));
    }
    if (kind === 'target-away') shore.awayUntil = this.#time.millis + this.#random.between(100, 10_000);
    shore.kick();
  }

  #kill(vessel: Vessel): void {
    vessel.kill();
    this.#time.clock().timer(this.#random.pick([0, 10, 2_000]), () => vessel.endSession());
  }

  /** What passed whole is taken apart from now on, or the other way round. */
  #respec(vessel: Vessel | undefined): void {
    this.#links = this.#links.map((link) => {
      const batching = link.spec.batching === 'per-key' ? ('mixed' as const) : ('per-key' as const);
      return { ...link, spec: { ...link.spec, batching } };
    });
    if (vessel === undefined) return;
    if (this.#random.chance(0.5)) this.#kill(vessel);
    else this.#close(vessel);
  }

  #ask(answer: Promise<unknown>): void {
    answer.catch((error: unknown) => this.lines.push(`          ---- refused: ${String(error)}`));
  }

  #close(vessel: Vessel): void {
    const closing = vessel.supervisor.close().then(() => {
      this.#time.clock().timer(2_000, () => {
        if (vessel.budget.usedBytes !== 0) this.#wrong ??= new Error(`${vessel.budget.usedBytes} bytes were never given back`);
      });
      vessel.alive = false;
      vessel.endSession();
    });
    this.#closing.push(closing);
  }

  async #closeAll(): Promise<void> {
    for (const vessel of this.#vessels) if (vessel.alive) this.#close(vessel);
    let closed = false;
    const all = Promise.all(this.#closing).then(() => {
      closed = true;
    });
    for (let i = 0; i < 60 && !closed; i++) await this.#pass(1_000);
    if (!closed) throw new Error('a process was never closed');
    await all;
    await this.#pass(3_000);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  /** The records of one cluster that have to come to another, and the topic there. */
  *#journeys(): Iterable<Journey> {
    for (const from of this.#shores) {
      const been = new Set([from]);
      const open: Journey[] = [{ from, to: from, topic: TOPIC, expected: from.written }];
      for (let last = open.shift(); last !== undefined; last = open.shift()) {
        for (const { from: at, to: name, spec } of this.#plan.links) {
          const to = this.#shores.find(({ plan }) => plan.name === name);
          if (at !== last.to.plan.name || to === undefined || been.has(to)) continue;
          been.add(to);
          const { tags } = spec.filter;
          const passes = ({ tag }: Written): boolean => tags.length === 0 || (tag !== undefined && tags.includes(tag));
          const journey = { from, to, topic: targetTopicOf(spec, last.topic), expected: last.expected.filter(passes) };
          open.push(journey);
          yield journey;
        }
      }
    }
  }

  async #waitUntilDone(): Promise<void> {
    const end = this.#time.millis + SETTLE_MILLIS;
    for (;;) {
      const missing = [...this.#journeys()].flatMap(({ to, topic, expected }) => {
        const there = new Set(to.rows(topic).map(({ id }) => id));
        return expected.filter(({ id }) => !there.has(id)).map(({ id }) => `${id} in ${to.plan.name}`);
      });
      if (missing.length === 0) missing.push(...this.#behind());
      if (missing.length === 0) return;
      if (this.#time.millis > end)
        throw new Error(`stuck: ${missing.length} records never came, ${missing.slice(0, 3).join(', ')}`);
      await this.#pass(500);
    }
  }

  /** Lanes that have not come to their end, also where another way has brought all that they had to bring. */
  #behind(): string[] {
    const alive = this.#vessels.filter((each) => each.alive);
    // Of two processes the one that waits stays behind.
    if (alive.length > 1) return [];
    return alive.flatMap(({ supervisor }) =>
      this.#links.flatMap(({ name }) =>
        supervisor
          .lanes({ link: name, mirror: 'm' })
          .filter(({ next, source }) => !isAtEnd(next, source?.end))
          .map(({ lane, next }) => `the end of ${name} ${lane}, which is at ${next}`),
      ),
    );
  }

  #judge(): SeaOutcome {
    let [written, mirrored] = [0, 0];
    for (const shore of this.#shores) {
      written += shore.written.length;
      const back = judge(shore.written, ownRows(shore, shore.rows(TOPIC)));
      if (!isFaithful({ ...back, reordered: 0 })) throw new Error(`looped in ${shore.plan.name}: ${JSON.stringify(back)}`);
    }
    for (const { from, to, topic, expected } of this.#journeys()) {
      const rows = ownRows(from, to.rows(topic));
      const verdict = judge(expected, rows);
      if (!isFaithful(verdict)) throw new Error(`${from.plan.name} in ${to.plan.name}: ${JSON.stringify(verdict)}`);
      mirrored += rows.length;
    }
    return { written, mirrored, restarts: this.#restarts, virtualSeconds: Math.round(this.#time.millis / 1000) };
  }
}

/** Those rows that come from a cluster. */
function ownRows({ plan }: Shore, rows: ReturnType<Shore['rows']>): ReturnType<Shore['rows']> {
  return rows.filter(({ id }) => id?.startsWith(`${plan.name}/`));
}

function isAtEnd(next: string | null, end: string | undefined): boolean {
  const [place, goal] = [parsePosition(next ?? ''), parsePosition(end ?? '')];
  return place !== undefined && goal !== undefined && comparePositions(entryAtOrAfter(place), goal) >= 0;
}

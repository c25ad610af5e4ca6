import type { RunHook } from '../../../src/control/failover/hooks.ts';
import { Supervisor } from '../../../src/control/supervisor.ts';
import { openEntryCluster, openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { type Faults, MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { type MemoryMessage, QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import { IsthmusError } from '../../../src/errors.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { LeaseKeeper } from '../../../src/mirror/lease-keeper.ts';
import type { FailoverRule, GroupsRule, MirrorSpec } from '../../../src/model/mirror-spec.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { StateStore } from '../../../src/spi/state-store.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { makePlan } from '../../simulation/plan.ts';
import { type LogLine, makeLog, SILENT_RECORDER } from '../../simulation/process.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';

/** A rule without anything special. */
export function specOf(name: string, changes: Partial<MirrorSpec> = {}): MirrorSpec {
  const { spec } = makePlan(1);
  return {
    ...spec,
    name,
    topics: ['orders'],
    start: 'earliest',
    routing: { mode: 'identity' },
    filter: { tags: [], properties: {} },
    onBadRecord: 'stop-lane',
    batching: 'mixed',
    ...changes,
  };
}

export interface ProcessOptions {
  readonly mirrors?: readonly MirrorSpec[];
  /** Of the link `l`. */
  readonly groups?: GroupsRule;
  readonly failover?: FailoverRule;
  readonly runHook?: RunHook;
  /** The cluster west can be read as well, for mirrors of the link `back`; groups that follow on it. */
  readonly bothWays?: boolean;
  readonly backGroups?: GroupsRule;
  /** Puts something between the process and the world. */
  readonly wrap?: Wrap;
}

export interface Wrap {
  readonly source?: (cluster: Cluster) => Cluster;
  readonly target?: (cluster: Cluster, network: MemoryNetwork) => Cluster;
  readonly store?: (store: StateStore) => StateStore;
}

/** Two fake clusters without faults, a store, and processes between them, in virtual time. */
export class Stage {
  readonly time: VirtualTime = new VirtualTime();
  readonly random: SeededRandom = new SeededRandom(1);
  readonly source: QueueBroker = new QueueBroker(this.time.clock());
  readonly target: EntryBroker = new EntryBroker(this.time.clock(), this.random.next);
  readonly store: MemoryStore = new MemoryStore(this.random.next);
  readonly budget: ByteBudget = new ByteBudget(100_000);
  readonly lines: LogLine[] = [];
  readonly #exits = new Map<Supervisor, () => void>();
  faults: Faults = NO_FAULTS;
  storeIsAway = false;

  start(options: ProcessOptions = {}): Supervisor {
    const { mirrors = [], wrap = {}, groups, failover, runHook = async () => undefined, bothWays = false, backGroups } = options;
    const clock = this.time.clock();
    const network = new MemoryNetwork(clock, this.random.next, () => this.faults);
    const east = openQueueCluster('east', this.source, network);
    const both = openEntryCluster('west', this.target, network);
    // A driver that cannot read, so that the link back is one that no driver serves.
    const west: Cluster = bothWays ? both : { ...both, source: undefined };
    const supervisor = new Supervisor({
      runHook,
      region: 'west',
      version: '0.0.0',
      clusters: new Map([
        ['east', { cluster: wrap.source?.(east) ?? east, region: 'east' }],
        ['west', { cluster: wrap.target?.(west, network) ?? west, region: 'west' }],
      ]),
      links: [
        { name: 'l', from: 'east', to: 'west', groups, failover },
        { name: 'back', from: 'west', to: 'east', groups: backGroups },
      ],
      marks: plainMarks,
      windows: this.store.windows(clock),
      leases: new LeaseKeeper({
        store: this.store.leases(clock),
        owner: `p${this.#exits.size}`,
        clock,
        log: makeLog(() => undefined),
      }),
      fileMirrors: mirrors.map((spec) => ({ link: spec.name.startsWith('back') ? 'back' : 'l', spec })),
      store: this.#storeOf(wrap),
      clock,
      log: makeLog((line) => this.lines.push(line)),
      recorder: SILENT_RECORDER,
      random: this.random.next,
      budget: this.budget,
    });
    this.#exits.set(supervisor, () => {
      clock.kill();
      this.target.endSession(network);
    });
    supervisor.start();
    return supervisor;
  }

  #storeOf(wrap: Wrap): StateStore {
    const store = whileAway(this.store, () => this.storeIsAway);
    return wrap.store?.(store) ?? store;
  }

  produce(count: number, message: Partial<MemoryMessage> = {}, topic = 'orders', lane = 'broker-a:0'): void {
    for (let i = 0; i < count; i++) {
      const place = this.source.history(topic, lane).length;
      this.source.produce(topic, lane, { body: Buffer.from(`${topic}/${lane}/${place}`), ...message });
    }
  }

  /** Bodies in a target topic, partition after partition. */
  stored(topic = 'orders-copy'): string[] {
    const partitions = this.target.describe(topic)?.lanes.length ?? 0;
    return Array.from({ length: partitions }, (_, partition) =>
      this.target.history(topic, partition).flatMap(({ records }) => records.map(({ body }) => body.toString())),
    ).flat();
  }

  sent(topic = 'orders'): string[] {
    return this.source.lanes(topic).flatMap((lane) => this.source.history(topic, lane).map(({ body }) => body.toString()));
  }

  /** A request's outcome, with the time that it needs. */
  async outcome<T>(request: Promise<T>): Promise<T | { readonly code: string }> {
    const settled = request.catch((error: unknown) => {
      if (error instanceof IsthmusError) return { code: error.code };
      throw error;
    });
    await this.time.pass(20_000);
    return await settled;
  }

  /** Closes a process, which then exits; gives how many virtual milliseconds that took, `undefined` when it never ended. */
  async close(supervisor: Supervisor): Promise<number | undefined> {
    const before = this.time.millis;
    let took: number | undefined;
    void supervisor.close().then(() => {
      took = this.time.millis - before;
    });
    for (let i = 0; i < 120 && took === undefined; i++) await this.time.pass(500);
    this.kill(supervisor);
    return took;
  }

  /** Ends a process at once: nothing of it runs any more. */
  kill(supervisor: Supervisor): void {
    this.#exits.get(supervisor)?.();
  }
}

/** An object of which one method never answers while `armed` says so. */
export function hanging<T extends object>(object: T, method: string, armed: () => boolean): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return name === method && armed() ? () => new Promise(() => undefined) : value.bind(target);
    },
  });
}

function whileAway(store: StateStore, away: () => boolean): StateStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return away() ? () => Promise.reject(new IsthmusError('STATE_UNAVAILABLE', 'no answer')) : value.bind(target);
    },
  });
}

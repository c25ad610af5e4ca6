import { Supervisor } from '../../src/control/supervisor.ts';
import { openEntryCluster, openQueueCluster } from '../../src/drivers/memory/cluster.ts';
import type { EntryBroker } from '../../src/drivers/memory/entry-broker.ts';
import { type Faults, MemoryNetwork } from '../../src/drivers/memory/network.ts';
import type { QueueBroker } from '../../src/drivers/memory/queue-broker.ts';
import { IsthmusError } from '../../src/errors.ts';
import { ByteBudget } from '../../src/lib/byte-budget.ts';
import { LeaseKeeper } from '../../src/mirror/lease-keeper.ts';
import type { MirrorSpec } from '../../src/model/mirror-spec.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import type { Clock } from '../../src/spi/clock.ts';
import type { DedupWindows } from '../../src/spi/dedup-window.ts';
import type { LeaseStore } from '../../src/spi/lease.ts';
import type { Log, LogFields } from '../../src/spi/log.ts';
import type { LaneRecorder, Recorder } from '../../src/spi/recorder.ts';
import type { Checkpoint, StateStore } from '../../src/spi/state-store.ts';
import type { MemoryStore } from '../../src/state/memory/store.ts';
import type { SeededRandom } from './random.ts';
import type { ProcessClock, VirtualTime } from './virtual-time.ts';

export const LINK = { name: 'l', from: 'east', to: 'west' };

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** What the processes of a simulation have in common. */
export interface Surroundings {
  readonly time: VirtualTime;
  readonly source: QueueBroker;
  readonly target: EntryBroker;
  readonly store: MemoryStore;
  readonly storeIsAway: () => boolean;
  readonly faults: () => Faults;
  readonly targetIsAway: () => boolean;
  readonly spec: MirrorSpec;
  readonly budgetBytes: number;
  readonly onLog: (line: LogLine) => void;
  readonly onCheckpoint: (checkpoint: Checkpoint) => void;
}

/** One process: what `isthmus run` would start, over fake clusters. */
export class SimulatedProcess {
  readonly supervisor: Supervisor;
  readonly budget: ByteBudget;
  readonly #clock: ProcessClock;
  readonly #target: MemoryNetwork;
  readonly #surroundings: Surroundings;
  alive = true;

  constructor(surroundings: Surroundings, random: SeededRandom) {
    const { time, source, target, faults } = surroundings;
    this.#surroundings = surroundings;
    this.#clock = time.clock();
    const targetFaults = (): Faults => (surroundings.targetIsAway() ? { ...faults(), lostRequests: 1 } : faults());
    this.#target = new MemoryNetwork(this.#clock, random.fork().next, targetFaults);
    this.budget = new ByteBudget(surroundings.budgetBytes);
    const east = openQueueCluster('east', source, new MemoryNetwork(this.#clock, random.fork().next, faults));
    const west = openEntryCluster('west', target, this.#target);
    const log = (line: LogLine): void => {
      if (this.alive) surroundings.onLog(line);
    };
    const leases = remoteLeases(surroundings, this.#clock, random.fork().next);
    this.supervisor = new Supervisor({
      runHook: async () => undefined,
      windows: remoteWindows(surroundings, this.#clock, random.fork().next),
      leases: new LeaseKeeper({ store: leases, owner: `process ${random.next()}`, clock: this.#clock, log: makeLog(log) }),
      region: 'west',
      version: '0.0.0',
      clusters: new Map([
        ['east', { cluster: east, region: 'east' }],
        ['west', { cluster: west, region: 'west' }],
      ]),
      links: [LINK],
      fileMirrors: [{ link: LINK.name, spec: surroundings.spec }],
      store: remoteStore(surroundings, this.#clock, random.fork().next),
      clock: this.#clock,
      log: makeLog(log),
      recorder: SILENT_RECORDER,
      marks: plainMarks,
      random: random.fork().next,
      budget: this.budget,
    });
    this.supervisor.start();
  }

  /** kill -9: nothing that it would have done happens any more. Its connections end when `endSession` is called. */
  kill(): void {
    this.alive = false;
    this.#clock.kill();
  }

  /** The broker notices that the process is gone. */
  endSession(): void {
    this.#surroundings.target.endSession(this.#target);
  }
}

export function makeLog(write: (line: LogLine) => void, common: LogFields = {}): Log {
  const at =
    (level: string) =>
    (event: string, fields?: LogFields): void =>
      write({ level, event, fields: { ...common, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => makeLog(write, { ...common, ...fields }),
  };
}

const nothing = (): void => undefined;
const SILENT_LANE: LaneRecorder = {
  read: nothing,
  stored: nothing,
  dropped: nothing,
  damagedMarks: nothing,
  unchecked: nothing,
  deadLetter: nothing,
  gap: nothing,
  recovered: nothing,
  restart: nothing,
  close: nothing,
};
export const SILENT_RECORDER: Recorder = { lane: () => SILENT_LANE, stateStore: nothing };

type StoreSurroundings = Pick<Surroundings, 'store' | 'storeIsAway' | 'onCheckpoint'>;

type RemoteCall = <T>(effect: () => Promise<T>) => Promise<T>;

function remoteCalls(storeIsAway: () => boolean, clock: Clock, random: () => number): RemoteCall {
  return async (effect) => {
    await clock.sleep(random() * 3);
    if (storeIsAway()) {
      await clock.sleep(random() * 500);
      throw new IsthmusError('STATE_UNAVAILABLE', 'asking the state store: no answer');
    }
    const result = await effect();
    await clock.sleep(random() * 3);
    return result;
  };
}

/** The leases of the store as a process sees them. */
export function remoteLeases(surroundings: StoreSurroundings, clock: Clock, random: () => number): LeaseStore {
  const leases = surroundings.store.leases(clock);
  const call = remoteCalls(surroundings.storeIsAway, clock, random);
  return {
    acquire: (name, owner, ttl) => call(() => leases.acquire(name, owner, ttl)),
    acquireAll: (names, owner, ttl) => call(() => leases.acquireAll(names, owner, ttl)),
    release: (name, owner) => call(() => leases.release(name, owner)),
    releaseAll: (names, owner) => call(() => leases.releaseAll(names, owner)),
  };
}

/** The dedup windows of the store as a process sees them. */
export function remoteWindows(surroundings: StoreSurroundings, clock: Clock, random: () => number): DedupWindows {
  const windows = surroundings.store.windows(clock);
  const call = remoteCalls(surroundings.storeIsAway, clock, random);
  return {
    open: (cluster, topic, owner, limits) => {
      const window = windows.open(cluster, topic, owner, limits);
      return {
        claim: (ids) => call(() => window.claim(ids)),
        confirm: (ids) => call(() => window.confirm(ids)),
        release: (ids) => call(() => window.release(ids)),
        report: () => call(() => window.report()),
      };
    },
    forget: (cluster, topic) => call(() => windows.forget(cluster, topic)),
  };
}

/** The store as a process sees it: answers take time, and for a while there are none. */
export function remoteStore(surroundings: StoreSurroundings, clock: Clock, random: () => number): StateStore {
  const { store, storeIsAway, onCheckpoint } = surroundings;
  const call = remoteCalls(storeIsAway, clock, random);
  return {
    generation: () => call(() => store.generation()),
    loadRegistry: () => call(() => store.loadRegistry()),
    saveRegistryEntry: (entry) => call(() => store.saveRegistryEntry(entry)),
    deleteRegistryEntry: (key) => call(() => store.deleteRegistryEntry(key)),
    loadNote: (name) => call(() => store.loadNote(name)),
    saveNote: (name, text) => call(() => store.saveNote(name, text)),
    loadCheckpoints: (key) => call(() => store.loadCheckpoints(key)),
    saveCheckpoints: (key, checkpoints) =>
      call(() => {
        for (const checkpoint of checkpoints) onCheckpoint(checkpoint);
        return store.saveCheckpoints(key, checkpoints);
      }),
    loadLaneTable: (key, topic) => call(() => store.loadLaneTable(key, topic)),
    saveLaneTable: (key, topic, lanes, former) => call(() => store.saveLaneTable(key, topic, lanes, former)),
    loadTargetLanes: (cluster, topic) => call(() => store.loadTargetLanes(cluster, topic)),
    saveTargetLanes: (cluster, topic, lanes, former) => call(() => store.saveTargetLanes(cluster, topic, lanes, former)),
    appendIndex: (key, entries) => call(() => store.appendIndex(key, entries)),
    readIndex: (key, lane, from, to, limit) => call(() => store.readIndex(key, lane, from, to, limit)),
    forgetLane: (key, lane) => call(() => store.forgetLane(key, lane)),
    forgetMirror: (key) => call(() => store.forgetMirror(key)),
    close: async () => undefined,
  };
}

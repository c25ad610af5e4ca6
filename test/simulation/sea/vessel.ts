import { Supervisor } from '../../../src/control/supervisor.ts';
import { type Faults, MemoryNetwork } from '../../../src/drivers/memory/network.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { LeaseKeeper } from '../../../src/mirror/lease-keeper.ts';
import type { MarkCodec } from '../../../src/model/provenance.ts';
import type { MemoryStore } from '../../../src/state/memory/store.ts';
import { type LogLine, makeLog, remoteLeases, remoteStore, remoteWindows, SILENT_RECORDER } from '../process.ts';
import type { SeededRandom } from '../random.ts';
import type { ProcessClock, VirtualTime } from '../virtual-time.ts';
import type { LinkPlan } from './plan.ts';
import type { Shore } from './shore.ts';

/** What the processes have in common. */
export interface Waters {
  readonly time: VirtualTime;
  readonly shores: readonly Shore[];
  readonly links: readonly LinkPlan[];
  readonly store: MemoryStore;
  readonly storeIsAway: () => boolean;
  readonly faults: () => Faults;
  readonly marks: MarkCodec;
  readonly budgetBytes: number;
  readonly onLog: (line: LogLine) => void;
}

/** One process that serves all links. */
export class Vessel {
  readonly name: string;
  readonly supervisor: Supervisor;
  readonly clock: ProcessClock;
  readonly budget: ByteBudget;
  readonly #networks: readonly { readonly shore: Shore; readonly network: MemoryNetwork }[];
  alive = true;

  constructor(name: string, waters: Waters, random: SeededRandom) {
    const { time, shores, links, store, storeIsAway, faults, marks } = waters;
    this.name = name;
    this.clock = time.clock();
    this.budget = new ByteBudget(waters.budgetBytes);
    this.#networks = shores.map((shore) => {
      const own = (): Faults => (time.millis < shore.awayUntil ? { ...faults(), lostRequests: 1 } : faults());
      return { shore, network: new MemoryNetwork(this.clock, random.fork().next, own) };
    });
    const log = makeLog((line) => {
      if (this.alive) waters.onLog({ ...line, fields: { process: name, ...line.fields } });
    });
    const surroundings = { store, storeIsAway, onCheckpoint: () => undefined };
    const leases = remoteLeases(surroundings, this.clock, random.fork().next);
    this.supervisor = new Supervisor({
      runHook: async () => undefined,
      region: 'sea',
      version: '0.0.0',
      clusters: new Map(
        this.#networks.map(({ shore, network }) => [shore.plan.name, { cluster: shore.open(network), region: 'sea' }]),
      ),
      links: links.map(({ name: link, from, to }) => ({ name: link, from, to })),
      fileMirrors: links.map(({ name: link, spec }) => ({ link, spec })),
      store: remoteStore(surroundings, this.clock, random.fork().next),
      windows: remoteWindows(surroundings, this.clock, random.fork().next),
      leases: new LeaseKeeper({ store: leases, owner: name, clock: this.clock, log }),
      clock: this.clock,
      log,
      recorder: SILENT_RECORDER,
      random: random.fork().next,
      marks,
      budget: this.budget,
    });
    this.supervisor.start();
  }

  /** kill -9; its connections end when `endSession` is called. */
  kill(): void {
    this.alive = false;
    this.clock.kill();
  }

  endSession(): void {
    for (const { shore, network } of this.#networks) shore.endSession(network);
  }
}

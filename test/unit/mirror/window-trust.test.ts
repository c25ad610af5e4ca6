import { beforeEach, describe, expect, it } from 'vitest';
import { openEntryCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { WindowIds } from '../../../src/lib/window-ids.ts';
import { Pace } from '../../../src/mirror/audit/pace.ts';
import { LaneWindow } from '../../../src/mirror/window/lane-window.ts';
import { areStored, StoredIds } from '../../../src/mirror/window/stored-ids.ts';
import { beginAnew, SETTLE_MILLIS, type TrustParts } from '../../../src/mirror/window/window-trust.ts';
import type { DedupId } from '../../../src/model/mirror-spec.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance, plainMarks } from '../../../src/model/provenance.ts';
import { Verdict } from '../../../src/spi/dedup-window.ts';
import type { Source } from '../../../src/spi/source.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { makeLog } from '../../simulation/process.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';
import { specOf } from '../control/kit.ts';

const TOPIC = 'orders';
const WINDOW_MILLIS = 3_600_000;
const LANE = { cluster: 'east', topic: TOPIC, lane: 'broker-a:0' };

describe('a dedup window that was emptied', () => {
  let time: VirtualTime;
  let store: MemoryStore;
  let target: EntryBroker;
  let reads: number;
  let ending: AbortController;

  beforeEach(() => {
    time = new VirtualTime();
    store = new MemoryStore(new SeededRandom(1).next);
    target = new EntryBroker(time.clock(), new SeededRandom(2).next);
    target.ensureTopic(TOPIC, 2);
    reads = 0;
    ending = new AbortController();
  });

  /** Stores records of one lane, with marks, as a mirror does. */
  function mirrored(partition: number, first: number, count: number): void {
    const mark = formatProvenance({ ...LANE, runs: [{ first: offsetPosition(first), count }], time: 1, passed: ['north'] });
    const records = Array.from({ length: count }, (_, i) => ({
      body: Buffer.from(`${first + i}`),
      key: undefined,
      mark: undefined,
    }));
    target.store(TOPIC, partition, { records, mark });
  }

  interface Options {
    readonly readable?: boolean;
    readonly memory?: TrustParts['memory'];
  }

  interface Told {
    readonly window: LaneWindow;
    readonly codes: (string | undefined)[];
  }

  function open(owner: string, { readable = true, memory = { windowEpoch: undefined } }: Options = {}): Told {
    const clock = time.clock();
    const dedup = { windowMillis: WINDOW_MILLIS, maxIds: 1_000, id: { kind: 'origin' as const }, onStateLoss: 'stop' as const };
    const { source, admin } = openEntryCluster(
      'west',
      target,
      new MemoryNetwork(
        clock,
        () => 0.5,
        () => NO_FAULTS,
      ),
    );
    if (source === undefined) throw new Error('no source');
    const counted: Source = {
      passesWhole: false,
      openLane: (...asked) => (reads++, source.openLane(...asked)),
      committed: (...asked) => source.committed(...asked),
      resolveStart: (...asked) => source.resolveStart(...asked),
      next: (position) => source.next(position),
    };
    const view = { source: counted, extents: (topic: string) => admin.extents(topic) };
    const codes: (string | undefined)[] = [];
    const stored = new StoredIds({
      view,
      cluster: 'west',
      topic: TOPIC,
      dedup,
      group: 'g',
      marks: plainMarks,
      clock,
      budget: new ByteBudget(100_000),
      pace: new Pace(clock, () => false),
    });
    const window = new LaneWindow({
      window: store.windows(clock).open('west', TOPIC, owner, { ...dedup, claimMillis: 120_000 }),
      windowMillis: WINDOW_MILLIS,
      stored: readable ? stored : undefined,
      memory,
      onStateLoss: 'stop',
      clock,
      log: makeLog(() => undefined),
      signal: ending.signal,
      onTrouble: (error) => codes.push(error?.code),
    });
    return { window, codes };
  }

  /** What the window says of these records after a while. */
  async function claim({ window }: Told, first: number, count: number, millis = 1_000): Promise<number[] | string> {
    const ids = new WindowIds();
    ids.addRun(`origin ${LANE.cluster} ${LANE.topic} ${LANE.lane}`, offsetPosition(first), count);
    let outcome: number[] | string = 'waits';
    window.claim(ids).then(
      () => (outcome = [...ids.verdicts]),
      (error: unknown) => (outcome = String((error as { code?: string }).code)),
    );
    await time.pass(millis);
    return outcome;
  }

  const { fresh, stored, claimed } = Verdict;

  it('is believed at once where the topic is empty, or holds what applications wrote there', async () => {
    expect(await claim(open('one'), 0, 2, 100)).toEqual([fresh, fresh]);
    expect(reads).toBe(0);
    for (let i = 0; i < 50; i++)
      target.store(TOPIC, 0, { records: [{ body: Buffer.from('x'), key: undefined, mark: undefined }], mark: undefined });
    store.empty();
    // Less than what would be waited for otherwise.
    expect(await claim(open('two'), 0, 2, SETTLE_MILLIS / 3)).toEqual([fresh, fresh]);
    expect(reads).toBeGreaterThan(0);
  });

  it('knows again what the target holds before a record counts as new, read by one lane for all', async () => {
    const [one, two] = [open('one'), open('two')];
    await claim(one, 0, 4);
    mirrored(0, 0, 3);
    mirrored(1, 3, 1);
    store.empty();
    expect(await claim(one, 2, 3)).toBe('waits');
    expect(await claim(two, 0, 5)).toBe('waits');
    expect(one.codes.concat(two.codes)).toEqual(expect.arrayContaining(['WINDOW_LOST']));
    expect(one.window.inForce).toBe(false);
    // What was on its way when the window was emptied.
    mirrored(1, 4, 1);
    await time.pass(SETTLE_MILLIS + 5_000);
    expect(await claim(open('three'), 0, 6, 100)).toEqual([stored, stored, stored, stored, stored, fresh]);
    // Each partition once, and once more where something has come meanwhile.
    expect(reads).toBe(3);
    expect([one, two].map(({ codes, window }) => [codes.at(-1), window.inForce])).toEqual([
      [undefined, true],
      [undefined, true],
    ]);
  });

  it('holds no claim while it waits, and is read by another lane when the one that began has ended', async () => {
    const [one, two] = [open('one'), open('two')];
    await claim(one, 0, 1);
    mirrored(0, 0, 1);
    store.empty();
    const first = claim(one, 5, 1);
    ending.abort(new Error('the lane ends'));
    await first;
    ending = new AbortController();
    const next = open('next');
    await claim(next, 5, 1, SETTLE_MILLIS + 5_000);
    expect(await claim(open('last'), 5, 1, 100)).toEqual([claimed]);
    expect(two.codes).toEqual([]);
  });

  it('is not read again where the source has used positions again: new records would be left out for the old ones', async () => {
    const clock = time.clock();
    const one = open('one');
    await claim(one, 0, 4);
    mirrored(0, 0, 4);
    store.empty();
    // Another lane begins to read before anybody knows that the source went back.
    expect(await claim(one, 9, 1)).toBe('waits');
    const windows = store.windows(clock);
    const window = windows.open('west', TOPIC, 'rewound', { windowMillis: WINDOW_MILLIS, maxIds: 1_000, claimMillis: 120_000 });
    const begun = beginAnew(window, () => windows.forget('west', TOPIC), clock, ending.signal);
    await time.pass(SETTLE_MILLIS);
    await begun;
    expect(await claim(open('two'), 0, 4, 100)).toEqual([fresh, fresh, fresh, fresh]);
  });

  it('ends a lane that knew it before where the ids cannot be read, and lets one that begins go on', async () => {
    const memory = { windowEpoch: undefined };
    const one = open('one', { readable: false, memory });
    expect(await claim(one, 0, 1)).toEqual([fresh]);
    mirrored(0, 0, 1);
    store.empty();
    expect(await claim(one, 1, 1)).toBe('WINDOW_LOST');
    expect(await claim(open('one', { readable: false }), 1, 1)).toEqual([fresh]);
  });
});

describe('the ids of a window', () => {
  const rule = (id: DedupId) => ({ windowMillis: 1, maxIds: 1, onStateLoss: 'stop' as const, id });

  it('can be read from the target where that keeps them', () => {
    const byProperty = specOf('m', { dedup: rule({ kind: 'property', name: 'orderId' }) });
    const changed = { ...byProperty, transform: { drop: [], rename: { orderId: 'id' }, set: {} } };
    const others = (['origin', 'producer'] as const).map((kind) => specOf('m', { dedup: rule({ kind }) }));
    expect([byProperty, changed, ...others].map(areStored)).toEqual([true, false, true, false]);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { IsthmusError } from '../../../src/errors.ts';
import { type LaneLease, LeaseKeeper } from '../../../src/mirror/lease-keeper.ts';
import type { LeaseStore } from '../../../src/spi/lease.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { makeLog } from '../../simulation/process.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { type ProcessClock, VirtualTime } from '../../simulation/virtual-time.ts';

describe('LeaseKeeper', () => {
  let time: VirtualTime;
  let store: MemoryStore;
  let away: boolean;
  let calls: number;

  beforeEach(() => {
    time = new VirtualTime();
    store = new MemoryStore(new SeededRandom(1).next);
    away = false;
    calls = 0;
  });

  /** A process: what it asks the store takes a while, or fails. */
  class Holder {
    readonly clock: ProcessClock = time.clock();
    readonly keeper: LeaseKeeper;
    readonly heard: string[] = [];
    readonly #ended = new AbortController();

    constructor(owner: string) {
      const leases = store.leases(this.clock);
      const slowly = async <T>(answer: () => Promise<T>): Promise<T> => {
        await this.clock.sleep(5);
        if (away) throw new IsthmusError('STATE_UNAVAILABLE', 'no answer');
        const result = await answer();
        await this.clock.sleep(5);
        return result;
      };
      const remote: LeaseStore = {
        acquire: (name, who, ttl) => slowly(() => leases.acquire(name, who, ttl)),
        acquireAll: (names, who, ttl) => (calls++, slowly(() => leases.acquireAll(names, who, ttl))),
        release: (name, who) => slowly(() => leases.release(name, who)),
        releaseAll: (names, who) => slowly(() => leases.releaseAll(names, who)),
      };
      this.keeper = new LeaseKeeper({ store: remote, owner, clock: this.clock, log: makeLog(() => undefined) });
    }

    take(lease: LaneLease): void {
      const events = {
        onTrouble: (error: IsthmusError) => this.heard.push(`waits: ${error.code} ${error.message}`),
        onLost: (error: IsthmusError) => this.heard.push(`lost: ${error.code}`),
      };
      void lease.take(events, this.#ended.signal).then(() => this.heard.push(lease.valid ? 'has it' : 'gave up'));
    }

    stop(): void {
      this.#ended.abort();
    }
  }

  it('asks once for all lanes of the process, again and again', async () => {
    const one = new Holder('one');
    const leases = Array.from({ length: 300 }, (_, i) => one.keeper.open(`lane ${i}`));
    for (const lease of leases) one.take(lease);
    await time.pass(14_000);
    expect(leases.every(({ valid }) => valid)).toBe(true);
    const before = calls;
    await time.pass(30_000);
    expect(leases.every(({ valid }) => valid)).toBe(true);
    expect(calls - before).toBeLessThanOrEqual(10);
  });

  it('says who has the lane, and takes it over at once when that one has given it back', async () => {
    const [one, two] = [new Holder('one'), new Holder('two')];
    const [first, second] = [one.keeper.open('a'), two.keeper.open('a')];
    one.take(first);
    await time.pass(13_000);
    two.take(second);
    await time.pass(20_000);
    expect(second.valid).toBe(false);
    expect(two.heard.at(-1)).toContain('OTHER_WRITER writing a lane: the process one has its lease a');
    void first.end(true);
    expect(first.valid).toBe(false);
    await time.pass(1_500);
    expect([second.valid, two.heard.at(-1)]).toEqual([true, 'has it']);
  });

  it('leaves to run out what something may still be on its way under', async () => {
    const [one, two] = [new Holder('one'), new Holder('two')];
    const [first, second] = [one.keeper.open('a'), two.keeper.open('a')];
    one.take(first);
    await time.pass(13_000);
    two.take(second);
    await time.pass(5_000);
    void first.end(false);
    await time.pass(4_000);
    expect(second.valid).toBe(false);
    await time.pass(12_000);
    expect(second.valid).toBe(true);
  });

  it('goes on without the store for as long as the lease lasts, and not longer', async () => {
    const one = new Holder('one');
    const lease = one.keeper.open('a');
    one.take(lease);
    await time.pass(13_000);
    away = true;
    await time.pass(4_000);
    expect(lease.valid).toBe(true);
    away = false;
    await time.pass(4_000);
    away = true;
    await time.pass(9_000);
    expect(lease.valid).toBe(false);
    expect(one.heard.at(-1)).toBe('lost: STATE_UNAVAILABLE');
    one.take(lease);
    await time.pass(3_000);
    expect(one.heard.at(-1)).toContain('waits: STATE_UNAVAILABLE');
    away = false;
    await time.pass(14_000);
    expect(one.heard.at(-1)).toBe('has it');
  });

  it('notices after a stand-still that it may not write any more, before anything else of the process runs', async () => {
    const one = new Holder('one');
    const lease = one.keeper.open('a');
    one.take(lease);
    await time.pass(13_000);
    one.clock.freeze(60_000);
    await time.pass(59_999);
    expect(lease.valid).toBe(false);
    one.stop();
  });

  it('never lets two processes write at a time, whatever stands still, jumps, dies or is emptied', async () => {
    let overlaps = 0;
    let changes = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(seed);
      time = new VirtualTime();
      store = new MemoryStore(random.next);
      let names = 0;
      let processes: { holder: Holder; lease: LaneLease }[] = [];
      let last: LaneLease | undefined;
      const begin = (): void => {
        const holder = new Holder(`p${names++}`);
        processes.push({ holder, lease: holder.keeper.open('a') });
        holder.take(processes.at(-1)?.lease ?? holder.keeper.open('b'));
      };
      begin();
      begin();
      const watch = (): void => {
        const valid = processes.filter(({ lease }) => lease.valid);
        if (valid.length > 1) overlaps++;
        const only = valid[0]?.lease;
        if (only !== undefined && only !== last) changes++;
        last = only ?? last;
      };
      for (let step = 0; step < 40; step++) {
        const { holder, lease } = random.pick(processes);
        switch (random.between(0, 6)) {
          case 0:
            holder.clock.freeze(random.between(0, 30_000));
            break;
          case 1:
            holder.clock.step(random.pick([-3_600_000, 3_600_000]));
            break;
          case 2:
            holder.clock.kill();
            processes = processes.filter((each) => each.holder !== holder);
            begin();
            break;
          case 3:
            store.empty();
            break;
          case 4:
            away = !away;
            break;
          case 5:
            if (!lease.valid) holder.take(lease);
            break;
          default:
            void lease.end(random.chance(0.5));
            processes = processes.filter((each) => each.holder !== holder);
            begin();
        }
        await time.pass(random.between(0, 8_000), watch);
      }
    }
    expect(overlaps).toBe(0);
    expect(changes).toBeGreaterThan(20);
  });
});

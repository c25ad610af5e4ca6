import { beforeEach, describe, expect, it } from 'vitest';
import { layOut, makeBatch } from '../../../src/drivers/memory/batch.ts';
import { IsthmusError } from '../../../src/errors.ts';
import { type Deferred, deferred } from '../../../src/lib/deferred.ts';
import { ClaimingIntake } from '../../../src/mirror/window/claiming-intake.ts';
import type { Judged } from '../../../src/mirror/window/groups.ts';
import { LaneWindow } from '../../../src/mirror/window/lane-window.ts';
import { idsBy } from '../../../src/mirror/window/record-ids.ts';
import { entryPosition, offsetPosition } from '../../../src/model/position.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';
import type { DedupWindow } from '../../../src/spi/dedup-window.ts';
import type { Delivery, LaneReader } from '../../../src/spi/source.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { makeLog } from '../../simulation/process.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { settle, VirtualTime } from '../../simulation/virtual-time.ts';

const LIMITS = { windowMillis: 3_600_000, maxIds: 1_000_000, claimMillis: 120_000 };
/** Both ways bring the records of the same lane: their ids are the same. */
const LANE = { topic: 'orders', lane: 'a:0' };

describe('ClaimingIntake', () => {
  let time: VirtualTime;
  let store: MemoryStore;
  let away: boolean;

  beforeEach(() => {
    time = new VirtualTime();
    store = new MemoryStore(new SeededRandom(1).next);
    away = false;
  });

  /** One way to the target: a reader that is handed batches, and an intake over it. */
  class Way {
    readonly #ready: Delivery[] = [];
    readonly #waiting: Deferred<Delivery>[] = [];
    readonly released: number[] = [];
    readonly troubles: (string | undefined)[] = [];
    readonly #ending = new AbortController();
    readonly window: LaneWindow;
    readonly intake: ClaimingIntake;
    unchecked = 0;

    constructor(owner: string, onStateLoss: 'stop' | 'continue' = 'stop') {
      const clock = time.clock();
      const kept = store.windows(clock).open('west', 'orders', owner, LIMITS);
      const ask = async <T>(question: () => Promise<T>): Promise<T> => {
        await clock.sleep(1);
        if (away) throw new IsthmusError('STATE_UNAVAILABLE', 'no answer');
        return await question();
      };
      const window: DedupWindow = {
        claim: (ids) => ask(() => kept.claim(ids)),
        confirm: (ids) => ask(() => kept.confirm(ids)),
        release: (ids) => ask(() => kept.release(ids)),
        report: () => ask(() => kept.report()),
      };
      const onTrouble = (error: IsthmusError | undefined): number => this.troubles.push(error?.code);
      const log = makeLog(() => undefined);
      const { windowMillis } = LIMITS;
      const rules = { onStateLoss, windowMillis, stored: undefined, memory: { windowEpoch: undefined } };
      this.window = new LaneWindow({ window, ...rules, clock, log, signal: this.#ending.signal, onTrouble });
      const reader: Pick<LaneReader, 'poll' | 'read'> = {
        poll: () => this.#ready.shift(),
        read: () => {
          const next = this.#ready.shift();
          if (next !== undefined) return Promise.resolve(next);
          const waiting = deferred<Delivery>();
          this.#waiting.push(waiting);
          return waiting.promise;
        },
      };
      const parts = {
        // An intake asks its reader for these only.
        reader: reader as LaneReader,
        window: this.window,
        addIds: idsBy({ kind: 'origin' }, 'east', LANE),
        clock,
        random: () => 0.5,
        endOf: (batch: RecordBatch) => offsetPosition((batch.major[batch.count - 1] ?? 0) + 1),
        onUnchecked: (records: number) => (this.unchecked += records),
        onWaiting: onTrouble,
      };
      this.intake = new ClaimingIntake(parts, (witness) => witness);
    }

    bring(first: number, count: number): void {
      const messages = Array.from({ length: count }, (_, i) => ({ body: Buffer.from('x'), offset: first + i, storeTime: 0 }));
      this.give(makeBatch(messages, () => this.released.push(first)));
    }

    give(batch: RecordBatch): void {
      const delivery = { kind: 'records' as const, batch };
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#ready.push(delivery);
      else waiting.resolve(delivery);
    }

    /** What is handed out within a time: the offsets that go on. */
    async take(millis = 50): Promise<number[] | undefined> {
      let judged: Judged | undefined;
      const reading = this.intake.read().then((item) => {
        judged = item;
      });
      reading.catch(() => undefined);
      await time.pass(millis);
      return judged === undefined ? undefined : goingOn(judged);
    }
  }

  const goingOn = (judged: Judged): number[] =>
    judged.kind === 'gap'
      ? []
      : Array.from(judged.batch.major.subarray(0, judged.batch.count)).filter((_, i) => judged.verdicts[i] === undefined);

  it('drops what another way has brought, and only when that is stored', async () => {
    const [one, two] = [new Way('one'), new Way('two')];
    one.bring(0, 4);
    expect(await one.take()).toEqual([0, 1, 2, 3]);
    two.bring(2, 4);
    const handed: number[][] = [];
    void two.intake.read().then((judged) => handed.push(goingOn(judged)));
    await time.pass(2_000);
    expect([handed, two.troubles.at(-1)]).toEqual([[], 'OTHER_WRITER']);
    one.intake.safe(offsetPosition(4));
    await time.pass(3_000);
    expect([handed, two.troubles.at(-1)]).toEqual([[[4, 5]], undefined]);
  });

  it('holds the checkpoint from the first record that is handed out until it is confirmed', async () => {
    const way = new Way('one');
    way.bring(5, 3);
    expect(way.intake.unconfirmedFrom).toBeUndefined();
    await way.take();
    expect(way.intake.unconfirmedFrom).toEqual(offsetPosition(5));
    way.intake.safe(offsetPosition(7));
    await time.pass(50);
    expect(way.intake.unconfirmedFrom).toEqual(offsetPosition(5));
    away = true;
    way.intake.safe(offsetPosition(8));
    await time.pass(500);
    expect(way.intake.unconfirmedFrom).toEqual(offsetPosition(5));
    away = false;
    await time.pass(2_000);
    expect(way.intake.unconfirmedFrom).toBeUndefined();
  });

  it('does not confirm what was kept as a dead letter', async () => {
    const [one, two] = [new Way('one'), new Way('one')];
    one.bring(0, 3);
    const judged = one.intake.read();
    await time.pass(50);
    const item = await judged;
    if (item.kind === 'records') one.intake.skip(item.batch, 1);
    one.intake.safe(offsetPosition(3));
    await time.pass(50);
    two.bring(0, 3);
    expect(await two.take()).toEqual([1]);
  });

  it('gives back the claims on what it has not handed out, when it ends, and keeps the others', async () => {
    const [one, two] = [new Way('one'), new Way('two')];
    for (let i = 0; i < 4; i++) one.bring(i * 500, 500);
    expect((await one.take())?.length).toBe(500);
    await time.pass(50);
    await Promise.all([one.intake.close(), time.pass(100)]);
    expect(one.released).toEqual([500, 1_000, 1_500]);
    two.bring(1_000, 500);
    expect((await two.take())?.length).toBe(500);
    two.bring(0, 1);
    expect(await two.take(1_000)).toBeUndefined();
  });

  it('ends at a whole entry of which the target has a part, which is taken apart then', async () => {
    const [one, two] = [new Way('one'), new Way('two')];
    const rows = [0, 1].map((index) => ({ position: entryPosition(8, 4, index), storeTime: 0, body: Buffer.from('x') }));
    one.give(layOut(rows, { free: () => undefined }));
    await one.take();
    one.intake.safe(offsetPosition(99));
    await time.pass(50);
    const whole = layOut([{ position: entryPosition(8, 4), storeTime: 0, body: Buffer.from('xxx') }], {
      whole: true,
      free: () => undefined,
    });
    whole.records[0] = 3;
    two.give(whole);
    const reading = two.intake.read().catch((error: unknown) => error);
    await time.pass(50);
    expect(await reading).toMatchObject({ code: 'CONFLICT', retryable: true, entry: entryPosition(8, 4) });
  });

  it('never has two ways wait for each other', async () => {
    const [one, two] = [new Way('one'), new Way('two')];
    one.bring(0, 1);
    two.bring(1, 1);
    await Promise.all([one.take(0), two.take(0), time.pass(20)]);
    one.bring(1, 1);
    two.bring(0, 1);
    await time.pass(20);
    one.intake.safe(offsetPosition(1));
    two.intake.safe(offsetPosition(2));
    const [ofOne, ofTwo]: number[][][] = [[], []];
    void one.intake.read().then((judged) => ofOne?.push(goingOn(judged)));
    void two.intake.read().then((judged) => ofTwo?.push(goingOn(judged)));
    await time.pass(3_000);
    expect([ofOne, ofTwo]).toEqual([[[]], [[]]]);
  });

  it('waits for a window that is away, or goes on without it and counts, as the rule says', async () => {
    away = true;
    const [stops, goes] = [new Way('one', 'stop'), new Way('two', 'continue')];
    stops.bring(0, 2);
    goes.bring(10, 2);
    expect(await stops.take(1_000)).toBeUndefined();
    expect(stops.troubles).toContain('STATE_UNAVAILABLE');
    expect(await goes.take()).toEqual([10, 11]);
    expect([goes.unchecked, goes.window.inForce]).toEqual([2, false]);
    away = false;
    await time.pass(3_000);
    goes.bring(12, 1);
    await goes.take();
    expect([goes.unchecked, goes.window.inForce]).toEqual([2, true]);
    await settle();
  });
});

import fc from 'fast-check';
import { expect } from 'vitest';
import { WindowIds } from '../../src/lib/window-ids.ts';
import { entryPosition, offsetPosition } from '../../src/model/position.ts';
import { RecordBatch } from '../../src/model/record-batch.ts';
import { type DedupWindows, Verdict, type WindowLimits } from '../../src/spi/dedup-window.ts';
import type { HandClock } from './stores.ts';

/** Small numbers, so that everything happens often. */
const LIMITS: WindowLimits = { windowMillis: 1_000_000, maxIds: 600, claimMillis: 100_000 };
const OWNERS = ['a', 'b', 'c'];

/** One or more ids that are neighbours, as they come from a lane. */
type Piece =
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'offset' | 'entry' | 'index'; readonly first: number; readonly count: number };

const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.record({
    kind: fc.constant('key' as const),
    name: fc.nat(60).map((n) => (n % 3 === 0 ? `a key of many letters, number ${n}` : `k${n}`)),
  }),
  fc.record({
    kind: fc.constantFrom('offset' as const, 'entry' as const, 'index' as const),
    first: fc.nat(700),
    count: fc.integer({ min: 1, max: 80 }),
  }),
);

const step = fc.record({
  owner: fc.constantFrom(...OWNERS),
  act: fc.constantFrom('claim', 'claim', 'claim-confirm', 'claim-confirm', 'confirm', 'release'),
  pieces: fc.array(piece, { maxLength: 6 }),
  /** Where the records were read; few, so that the same record comes again. */
  place: fc.nat(3).map((n) => n * 1_000),
  wait: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(150_000), fc.nat(700_000)),
});

const histories = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });

/**
 * Plays random histories, and compares each verdict with those of sets and maps that know nothing of cells and runs. Time stands still where it cannot be told. Gives how many
 * verdicts it has compared.
 */
export async function checkWindowAgainstHistory(windows: DedupWindows, clock: HandClock, timed: boolean): Promise<number> {
  let runs = 0;
  let compared = 0;
  const property = fc.asyncProperty(histories, async (history) => {
    const topic = `history-${runs++}`;
    const model = new Model(clock);
    for (const each of history) {
      if (timed) clock.millis += each.wait;
      const window = windows.open('west', topic, each.owner, LIMITS);
      const { ids, names } = idsOf(each.pieces, each.place);
      if (each.act === 'confirm') {
        model.confirm(names);
        await window.confirm(ids);
        continue;
      }
      if (each.act === 'release') {
        model.release(names, each.owner);
        await window.release(ids);
        continue;
      }
      const expected = model.claim(names, each.owner, each.place);
      await window.claim(ids);
      expect([...ids.verdicts]).toEqual(expected);
      compared += expected.length;
      if (each.act === 'claim') continue;
      const given = names.filter((_, i) => expected[i] === Verdict.fresh || expected[i] === Verdict.ours);
      model.confirm(given);
      await window.confirm(ids);
    }
    await windows.forget('west', topic);
  });
  await fc.assert(property, { numRuns: 100, endOnFailure: true });
  return compared;
}

function idsOf(pieces: readonly Piece[], place: number): { ids: WindowIds; names: string[] } {
  const ids = new WindowIds();
  const names: string[] = [];
  const batch = new RecordBatch(1);
  for (const each of pieces) {
    for (let i = 0; i < (each.kind === 'key' ? 1 : each.count); i++) {
      batch.major[0] = place + names.length;
      if (each.kind === 'key') {
        const bytes = Buffer.from(each.name);
        ids.addKey(bytes, 0, bytes.length, batch, 0);
        names.push(each.name);
        continue;
      }
      const at = each.first + i;
      const { major, minor, index } =
        each.kind === 'offset' ? offsetPosition(at) : each.kind === 'entry' ? entryPosition(8, at) : entryPosition(8, 4, at);
      ids.addPosition('space', major, minor, index, batch, 0);
      names.push(`${each.kind} ${at}`);
    }
  }
  return { ids, names };
}

interface ModelClaim {
  readonly owner: string;
  readonly place: number;
  readonly turn: number;
}

/** What the doc comments of DedupWindow say, id by id. */
class Model {
  readonly #clock: HandClock;
  #generations: { openedAt: number; ids: Set<string> }[];
  readonly #claims = new Map<string, ModelClaim>();
  #startedAt: number | undefined;

  constructor(clock: HandClock) {
    this.#clock = clock;
    this.#generations = [];
  }

  claim(names: readonly string[], owner: string, place: number): number[] {
    const turn = this.#turn();
    const stored = this.#generations.filter((each) => this.#clock.now() < each.openedAt + LIMITS.windowMillis * 1.25);
    return names.map((name, i) => {
      if (stored.some((each) => each.ids.has(name))) return Verdict.stored;
      const known = this.#claims.get(name);
      const mine = { owner, place: place + i, turn };
      if (known === undefined || known.turn < turn - 1) {
        this.#claims.set(name, mine);
        return Verdict.fresh;
      }
      if (known.owner !== owner) return Verdict.claimed;
      if (known.place !== mine.place) return Verdict.repeated;
      this.#claims.set(name, mine);
      return Verdict.ours;
    });
  }

  confirm(names: readonly string[]): void {
    this.#turn();
    const now = this.#clock.now();
    const generations = this.#generations;
    let newest = generations.at(-1);
    if (newest === undefined || now >= newest.openedAt + LIMITS.windowMillis / 4 || newest.ids.size >= LIMITS.maxIds / 4) {
      newest = { openedAt: now, ids: new Set() };
      generations.push(newest);
    }
    this.#generations = generations.filter((each) => now < each.openedAt + LIMITS.windowMillis * 1.25);
    const total = (): number => this.#generations.reduce((sum, each) => sum + each.ids.size, names.length);
    while (this.#generations.length > 1 && total() > LIMITS.maxIds) this.#generations.shift();
    for (const name of names) {
      newest.ids.add(name);
      this.#claims.delete(name);
    }
  }

  release(names: readonly string[], owner: string): void {
    const turn = this.#turn();
    for (const name of names) {
      const known = this.#claims.get(name);
      if (known !== undefined && known.turn >= turn - 1 && known.owner === owner) this.#claims.delete(name);
    }
  }

  /** Turns are counted from the window's first use; so is its first generation. */
  #turn(): number {
    if (this.#startedAt === undefined) {
      this.#startedAt = this.#clock.now();
      this.#generations = [{ openedAt: this.#clock.now(), ids: new Set() }];
    }
    return Math.floor((this.#clock.now() - this.#startedAt) / LIMITS.claimMillis);
  }
}

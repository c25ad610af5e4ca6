import { PlaceReader } from '../../mirror/audit/place-reader.ts';
import { recordPlace } from '../../mirror/audit/places.ts';
import { type ReadDeps, readStretch, type Stretch } from '../../mirror/audit/stretch-reader.ts';
import type { LaneId } from '../../model/lane.ts';
import { comparePositions, formatPosition, type Position, parsePosition } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import { newestStored, type ReadableMirror } from '../readable-mirror.ts';
import { type Letter, letterId } from './letters.ts';

/** Between the clocks of a cluster's brokers: milliseconds. */
const CLOCK_MARGIN_MILLIS = 300_000;
/** Checkpoints are kept each second, and later where a store is slow. A mirror that does not run keeps none. */
const KEEPING_MILLIS = 5_000;
const LOOK_MILLIS = 200;

/** Letters of one source topic, by the place of the record that each is of. */
export class WantedLetters {
  readonly #ids = new Map<string, string>();
  /** The highest of each source lane. */
  readonly #highest = new Map<string, Position>();
  /** When the first was stored: milliseconds since 1970. */
  since: number = Number.POSITIVE_INFINITY;

  add(letter: Letter, storeTime: number): void {
    const position = parsePosition(letter.position);
    if (position === undefined) return;
    this.#ids.set(placeKey(letter.lane, position), letterId(letter));
    const highest = this.#highest.get(letter.lane);
    if (highest === undefined || comparePositions(position, highest) > 0) this.#highest.set(letter.lane, position);
    this.since = Math.min(this.since, storeTime);
  }

  idAt(lane: string, position: Position): string | undefined {
    return this.#ids.get(placeKey(lane, position));
  }

  get highest(): ReadonlyMap<string, Position> {
    return this.#highest;
  }
}

function placeKey(lane: string, position: Position): string {
  return `${lane} ${formatPosition(recordPlace(position))}`;
}

/**
 * Waits until a mirror has kept a place behind every letter: before, it could take a refused record again when it is killed, and store it after we looked. What a mirror never
 * comes past (it does not run, or its topic was made again) is not waited for any longer than some seconds.
 */
export async function untilKept(
  key: MirrorKey,
  topic: string,
  wanted: WantedLetters,
  store: StateStore,
  deps: ReadDeps,
): Promise<void> {
  const { clock, signal } = deps;
  const deadline = clock.monotonic() + KEEPING_MILLIS;
  for (;;) {
    const kept = new Map(
      (await store.loadCheckpoints(key)).map(({ lane, next }) => [lane.topic === topic ? lane.lane : '', next]),
    );
    const behind = [...wanted.highest].every(([lane, position]) => {
      const next = kept.get(lane);
      return next !== undefined && comparePositions(next, position) > 0;
    });
    if (behind || clock.monotonic() > deadline) return;
    await clock.sleep(LOOK_MILLIS, signal);
  }
}

/**
 * Which of some letters are of records that the target has: a mirror that was killed before it had kept its place has taken them again, and stored them, as the cause was mended
 * in between. By `letterId`. A record cannot be older there than its letter, so the target is read from the first letter's time on.
 */
export async function alreadyStored(
  mirror: ReadableMirror,
  { topic, lanes, group }: { readonly topic: string; readonly lanes: readonly LaneId[]; readonly group: string },
  wanted: WantedLetters,
  marks: MarkCodec,
  deps: ReadDeps,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const names = [...wanted.highest.keys()];
  const places = new PlaceReader(mirror.source.name, topic, new Map(names.map((name, number) => [name, number])), marks);
  const records = (batch: RecordBatch, first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      const id = places.read(batch, i) ? wanted.idAt(names[places.lane] ?? '', places) : undefined;
      if (id !== undefined) found.add(id);
    }
    places.forget();
  };
  const newest = newestStored(mirror, topic);
  for (const [number, lane] of lanes.entries()) {
    const stretch = await stretchOf(mirror, lane, wanted.since - CLOCK_MARGIN_MILLIS, newest.get(number));
    await readStretch(mirror.readsTarget, group, stretch, { records, gone: () => undefined }, deps);
  }
  return found;
}

/** A broker may name an end for a while that lies before what it has acknowledged. */
async function stretchOf(
  { readsTarget }: ReadableMirror,
  lane: LaneId,
  since: number,
  newest: Position | undefined,
): Promise<Stretch> {
  const from = await readsTarget.resolveStart(lane, { kind: 'time', time: since });
  const to = await readsTarget.resolveStart(lane, { kind: 'latest' });
  const known = newest === undefined ? undefined : readsTarget.next({ ...newest, index: -1 });
  return known === undefined || comparePositions(known, to) <= 0 ? { lane, from, to } : { lane, from, to: known, sure: true };
}

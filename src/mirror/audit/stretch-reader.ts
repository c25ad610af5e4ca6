import { IsthmusError } from '../../errors.ts';
import { untilAborted } from '../../lib/abort.ts';
import type { ByteBudget } from '../../lib/byte-budget.ts';
import { deferred } from '../../lib/deferred.ts';
import type { LaneId } from '../../model/lane.ts';
import { comparePositions, formatPosition, type Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Delivery, LaneReader, Source } from '../../spi/source.ts';
import type { Pace } from './pace.ts';
import { indexInEntry } from './places.ts';

/**
 * A lane that gives nothing for so long although its end was not reached has no more for us: what lies before its end is nothing that readers get (markers, aborted
 * transactions).
 */
const IDLE_MILLIS = 10_000;
/** The same where there is reason to think so: see `mayHaveEnded`. */
const ENDED_MILLIS = 2_000;
/** How long trouble of a reader is waited for. */
const TROUBLE_MILLIS = 120_000;
const WATCH_MILLIS = 500;

export interface ReadDeps {
  readonly clock: Clock;
  readonly budget: ByteBudget;
  readonly signal: AbortSignal;
  readonly pace: Pace;
}

/** Records at or after `from` and before `to`. */
export interface Stretch {
  readonly lane: LaneId;
  readonly from: Position;
  readonly to: Position;
  /** There is a record right before `to`, whatever the cluster says of its end: it is waited for. */
  readonly sure?: boolean;
}

export interface Visitor {
  /** Gets each batch: rows from `first` up to `end` belong to the stretch. It is given back right after, or when the promise is settled. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most visitors give nothing, and a promise for each batch would be waste.
  records(batch: RecordBatch, first: number, end: number): Promise<void> | void;
  /** Records in [from, to) are gone. */
  gone(from: Position, to: Position): void;
}

/**
 * Reads a stretch of a lane, as an onlooker. Resolves to false when the lane gave no more before the end was reached. Rejects when it cannot be read for long, or
 * goes back.
 */
export async function readStretch(
  source: Source,
  group: string,
  stretch: Stretch,
  visitor: Visitor,
  deps: ReadDeps,
): Promise<boolean> {
  if (comparePositions(stretch.from, stretch.to) >= 0) return true;
  const watch = new Watch(deps.clock);
  const opening = source.openLane(stretch.lane, entryOf(stretch.from), {
    group,
    budget: deps.budget,
    onlook: true,
    onTrouble: (error) => watch.onTrouble(error),
  });
  const reader = await untilAborted(opening, deps.signal, (late) => void late.close());
  const onAbort = (): void => watch.fail(deps.signal.reason);
  deps.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await readOn(source, stretch, reader, watch, visitor, deps);
  } finally {
    deps.signal.removeEventListener('abort', onAbort);
    watch.end();
    await reader.close();
  }
}

async function readOn(
  source: Source,
  stretch: Stretch,
  reader: LaneReader,
  watch: Watch,
  visitor: Visitor,
  { pace, signal }: ReadDeps,
): Promise<boolean> {
  const { lane, from, to, sure = false } = stretch;
  let reached = from;
  for (;;) {
    if (signal.aborted) throw signal.reason;
    let delivery = reader.poll();
    if (delivery === undefined) {
      const place = reached;
      delivery = await watch.next(reader, () => mayHaveEnded(reader, place, to, sure));
      if (delivery === undefined) return mayHaveEnded(reader, place, to, sure);
      pace.rested();
    }
    watch.heard();
    if (delivery.kind === 'gap') {
      if (comparePositions(delivery.to, delivery.from) < 0)
        throw new IsthmusError(
          'SOURCE_REWOUND',
          `comparing ${lane.topic} ${lane.lane}: it goes on at ${formatPosition(delivery.to)}, below what was read (${delivery.reason}); try again`,
        );
      visitor.gone(delivery.from, delivery.to);
      reached = delivery.to;
    } else {
      reached = (await take(source, delivery.batch, stretch, visitor)) ?? reached;
    }
    if (comparePositions(reached, to) >= 0) return true;
    await pace.pause();
  }
}

/** Gives where reading goes on. */
async function take(source: Source, batch: RecordBatch, { from, to }: Stretch, visitor: Visitor): Promise<Position | undefined> {
  try {
    let first = 0;
    let end = batch.count;
    while (first < end && isBefore(batch, first, from)) first++;
    while (end > first && !isBefore(batch, end - 1, to)) end--;
    if (first < end) await visitor.records(batch, first, end);
    return batch.count === 0 ? undefined : (batch.end ?? source.next(batch.positionAt(batch.count - 1)));
  } finally {
    batch.release();
  }
}

function isBefore(batch: RecordBatch, i: number, place: Position): boolean {
  const minor = batch.minor[i] ?? -1;
  const index = indexInEntry(minor, batch.index[i] ?? -1);
  return ((batch.major[i] ?? -1) - place.major || minor - place.minor || index - place.index) < 0;
}

/** A reader that is opened at the first record of an entry could pass over an entry that is a record itself. */
function entryOf(place: Position): Position {
  return place.index === 0 ? { ...place, index: -1 } : place;
}

/**
 * Whether nothing more may come, for a reader that has nothing at hand: it says so itself (which may be old, and is no word against what is stored for `sure`), or the next position lies inside the last entry before
 * the end, and that entry may have no more records.
 */
function mayHaveEnded(reader: LaneReader, next: Position, end: Position, sure: boolean): boolean {
  const known = reader.extent()?.end;
  const inLast = next.index > 0 && end.index <= 0 && next.major === end.major && next.minor + 1 === end.minor;
  return inLast || (!sure && known !== undefined && comparePositions(next, known) >= 0);
}

/** Waits for a reader, and notices when nothing comes any more. */
class Watch {
  readonly #clock: Clock;
  #heardAt: number;
  #trouble: { readonly error: Error; readonly since: number } | undefined;
  #mayHaveEnded: () => boolean = () => false;
  #giveUp: (() => void) | undefined;
  #fail: ((reason: unknown) => void) | undefined;
  #cancel: () => void;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#heardAt = clock.monotonic();
    this.#cancel = clock.timer(WATCH_MILLIS, () => this.#look());
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  onTrouble(error: Error | undefined): void {
    if (error === undefined) this.#trouble = undefined;
    else this.#trouble = { error, since: this.#trouble?.since ?? this.#clock.monotonic() };
    this.heard();
  }

  /** The next delivery, or `undefined` when nothing came for long. A delivery that comes too late is given back. */
  next(reader: LaneReader, mayHaveEnded: () => boolean): Promise<Delivery | undefined> {
    this.heard();
    this.#mayHaveEnded = mayHaveEnded;
    const wanted = deferred<Delivery | undefined>();
    let over = false;
    const end = (): void => {
      over = true;
      this.#giveUp = undefined;
      this.#fail = undefined;
    };
    this.#giveUp = () => {
      end();
      wanted.resolve(undefined);
    };
    this.#fail = (reason) => {
      end();
      wanted.reject(reason);
    };
    reader.read().then(
      (delivery) => {
        if (!over) {
          end();
          wanted.resolve(delivery);
        } else if (delivery.kind === 'records') delivery.batch.release();
      },
      (error: unknown) => this.#fail?.(error),
    );
    return wanted.promise;
  }

  fail(reason: unknown): void {
    this.#fail?.(reason);
  }

  end(): void {
    this.#cancel();
  }

  #look(): void {
    this.#cancel = this.#clock.timer(WATCH_MILLIS, () => this.#look());
    const now = this.#clock.monotonic();
    if (this.#trouble !== undefined) {
      if (now - this.#trouble.since > TROUBLE_MILLIS) this.fail(this.#trouble.error);
    } else if (now - this.#heardAt > (this.#mayHaveEnded() ? ENDED_MILLIS : IDLE_MILLIS)) {
      this.#giveUp?.();
    }
  }
}

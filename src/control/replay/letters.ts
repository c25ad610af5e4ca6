import { transformBy } from '../../mirror/stages/transform.ts';
import { DEAD_LETTER_PREFIX } from '../../model/dead-letter.ts';
import { comparePositions, formatPosition, type Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Sink } from '../../spi/sink.ts';
import type { Delivery, LaneReader, Source } from '../../spi/source.ts';
import type { Verdicts } from '../../spi/stage.ts';

const REASON = `${DEAD_LETTER_PREFIX}REASON`;
/** On what is not a record as it was: pieces of a large one, whole entries. */
const FORM = `${DEAD_LETTER_PREFIX}FORM`;
const NO_RECORD = [`${DEAD_LETTER_PREFIX}PART`, FORM] as const;

/** Properties that a record has only while it is none that is replayed. */
export const NOT_REPLAYED: readonly string[] = [REASON, ...NO_RECORD];

export interface Letter {
  readonly lane: string;
  readonly position: string;
  readonly reason: string;
}

/** Whose letters are wanted: other mirrors may keep theirs in the same topic. */
export interface LetterOrigin {
  readonly cluster: string;
  readonly topic: string;
}

/** What a dead letter is of. */
export interface LetterPlace {
  readonly lane: string;
  readonly position: string;
  /** All records of the entry at the position, which was refused whole. */
  readonly isEntry: boolean;
}

/** Reads what a dead letter is of, also one that cannot be put back; `undefined` when it is none of these. */
export function letterPlaceAt(batch: RecordBatch, i: number, origin: LetterOrigin): LetterPlace | undefined {
  if (
    batch.whole ||
    batch.property(i, `${DEAD_LETTER_PREFIX}CLUSTER`) !== origin.cluster ||
    batch.property(i, `${DEAD_LETTER_PREFIX}TOPIC`) !== origin.topic
  )
    return undefined;
  const lane = batch.property(i, `${DEAD_LETTER_PREFIX}LANE`);
  const position = batch.property(i, `${DEAD_LETTER_PREFIX}POSITION`);
  const isEntry = batch.property(i, FORM) !== undefined;
  return lane === undefined || position === undefined ? undefined : { lane, position, isEntry };
}

/** Reads what a dead letter says of itself; `undefined` when it is none of these, or cannot be put back as a record. */
export function letterAt(batch: RecordBatch, i: number, origin: LetterOrigin): Letter | undefined {
  const place = letterPlaceAt(batch, i, origin);
  if (place === undefined || NO_RECORD.some((name) => batch.property(i, name) !== undefined)) return undefined;
  return { lane: place.lane, position: place.position, reason: batch.property(i, REASON) ?? '' };
}

/** One text for what a letter is of. */
export function letterId({ lane, position }: Pick<Letter, 'lane' | 'position'>): string {
  return `${lane} ${position}`;
}

/** One text for where a letter lies. */
export function letterPlace(lane: string, position: Position): string {
  return `${lane} ${formatPosition(position)}`;
}

/** How letters become the records that they were, and where they go. */
export interface LetterRoute {
  readonly origin: LetterOrigin;
  /** Where the first letter of each record lies, by `letterId`: a crash may have written one twice. */
  readonly first: ReadonlyMap<string, string>;
  /** Records that are in the target already, by `letterId`. */
  readonly stored: ReadonlySet<string>;
  /** The last letter of each lane that is replayed: later ones are for the next time. */
  readonly last: ReadonlyMap<string, Position>;
  /** Which of the plan's partitions takes the letters of a source lane; `undefined`: by the record's key. */
  readonly placeOf: ((lane: string) => number | undefined) | undefined;
}

/**
 * Both ends of a replay. The source is the dead-letter topic, its letters made into the records that they were; it ends at the last letter wanted. The sink puts a record where
 * its source lane goes. Refused ones are only counted: they stay where they are.
 */
export function replayEnds(source: Source, sink: Sink, route: LetterRoute): { readonly source: Source; readonly sink: Sink } {
  const places = new WeakMap<RecordBatch, Int32Array>();
  const unwrap = transformBy({ drop: [`${DEAD_LETTER_PREFIX}*`], rename: {}, set: {} });
  const isWanted = (letter: Letter, place: string): boolean => {
    const id = letterId(letter);
    return (route.first.get(id) ?? place) === place && !route.stored.has(id);
  };
  const onBatch = (batch: RecordBatch, lane: string): void => {
    const [lanes, verdicts]: [Int32Array, Verdicts] = [new Int32Array(batch.count).fill(-1), []];
    for (let i = 0; i < batch.count; i++) {
      const letter = letterAt(batch, i, route.origin);
      if (letter === undefined || !isWanted(letter, letterPlace(lane, batch.positionAt(i)))) {
        verdicts[i] = 'property';
        // Whatever else lies there is told by this, and left out.
        batch.extras ??= new Map();
        batch.extras.set(i, [[REASON, '']]);
      } else lanes[i] = route.placeOf?.(letter.lane) ?? -1;
    }
    unwrap?.(batch, verdicts);
    places.set(batch, lanes);
  };
  return {
    source: {
      passesWhole: false,
      openLane: async (lane, from, options) =>
        new LetterReader(await source.openLane(lane, from, options), route.last.get(lane.lane), (batch) =>
          onBatch(batch, lane.lane),
        ),
      committed: (lane, group) => source.committed(lane, group),
      resolveStart: (lane, start) => source.resolveStart(lane, start),
      next: (position) => source.next(position),
    },
    sink: {
      takesWhole: () => false,
      fences: sink.fences,
      setPartitions: (topic, lanes) => sink.setPartitions(topic, lanes),
      openWriter: (options) => sink.openWriter(options),
      scan: (topic, partition, after, limit, visit) => sink.scan(topic, partition, after, limit, visit),
      tail: (topic, partition) => sink.tail(topic, partition),
      writeDeadLetter: async () => undefined,
      partitionOf(batch, i, partitions) {
        if (route.placeOf === undefined) return sink.partitionOf(batch, i, partitions);
        const place = places.get(batch)?.[i] ?? -1;
        return place < 0 ? undefined : place;
      },
      refusesTopicName: (topic) => sink.refusesTopicName(topic),
    },
  };
}

/** Reads letters up to the last one wanted, and then waits until it is closed. */
class LetterReader implements LaneReader {
  readonly #reader: LaneReader;
  readonly #last: Position | undefined;
  readonly #onBatch: (batch: RecordBatch) => void;
  #over = false;

  constructor(reader: LaneReader, last: Position | undefined, onBatch: (batch: RecordBatch) => void) {
    this.#reader = reader;
    this.#last = last;
    this.#onBatch = onBatch;
  }

  async read(): Promise<Delivery> {
    for (;;) {
      const delivery = this.#upToLast(await this.#reader.read());
      if (delivery !== undefined) return delivery;
    }
  }

  poll(): Delivery | undefined {
    const delivery = this.#reader.poll();
    return delivery === undefined ? undefined : this.#upToLast(delivery);
  }

  extent(): ReturnType<LaneReader['extent']> {
    return this.#reader.extent();
  }

  commit(next: Position): Promise<void> {
    return this.#reader.commit(next);
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #upToLast(delivery: Delivery): Delivery | undefined {
    if (delivery.kind === 'gap') return delivery;
    const { batch } = delivery;
    let count = this.#over || this.#last === undefined ? 0 : batch.count;
    while (count > 0 && this.#last !== undefined && comparePositions(batch.positionAt(count - 1), this.#last) > 0) count--;
    if (count < batch.count) {
      this.#over = true;
      batch.end = undefined;
      batch.count = count;
    }
    if (count === 0) {
      batch.release();
      return undefined;
    }
    this.#onBatch(batch);
    return delivery;
  }
}

import { IsthmusError } from '../../errors.ts';
import { untilAborted } from '../../lib/abort.ts';
import { comparePositions, formatPosition, parsePosition } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorHost } from '../readable-mirror.ts';
import { lanesOf } from './lanes.ts';
import type { KeptLane } from './listing.ts';
import { type LostDeps, readLost } from './lost-records.ts';

/** So many letters are written between two moments at which the place is kept: after a crash at most so many are there twice. */
const LETTERS_PER_PLACE = 100;

export interface ReviewParts {
  readonly host: Pick<MirrorHost, 'readable'>;
  readonly store: StateStore;
  readonly deps: LostDeps;
  readonly reviewTopic: string;
  /** Is told how many letters more there are, and the place up to which all are written; resolves when that is kept. */
  readonly onPlace: (kept: KeptLane, reviewedTo: string, letters: number) => Promise<void>;
}

/** Writes the listed records of a lane to the review topic: each once, after a crash some of them twice. */
export async function reviewLane(key: MirrorKey, kept: KeptLane, parts: ReviewParts): Promise<void> {
  const { host, store, deps, reviewTopic, onPlace } = parts;
  const mirror = host.readable(key);
  const { lanes } = await lanesOf(mirror, store, kept.lane.topic);
  const lane = lanes.find((each) => each.lane.lane === kept.lane.lane);
  if (lane === undefined)
    throw new IsthmusError(
      'TOPIC_NOT_FOUND',
      `reviewing ${kept.lane.topic} ${kept.lane.lane}: ${mirror.source.name} does not name it now; go on when it is back`,
    );
  const end = kept.dropped.next;
  const after = kept.reviewedTo === undefined ? undefined : parsePosition(kept.reviewedTo);
  const reason = `only ${mirror.source.name} had it when ${key.link} was failed over`;
  let letters = 0;
  const visit = async (batch: RecordBatch, i: number): Promise<void> => {
    const { retentionMinutes } = mirror.spec;
    // Waited for to its end: a batch that is given back before would be written with another record's bytes.
    await lane.sink.writeDeadLetter({
      topic: reviewTopic,
      retentionMinutes,
      reason,
      sourceCluster: mirror.source.name,
      lane: kept.lane,
      batch,
      i,
    });
    if (deps.signal.aborted) throw deps.signal.reason;
    if (++letters < LETTERS_PER_PLACE) return;
    await onPlace(kept, formatPosition(mirror.reads.next(batch.positionAt(i))), letters);
    letters = 0;
  };
  await untilAborted(readLost(lane, { end, after }, visit, deps), deps.signal);
  await onPlace(kept, formatPosition(end), letters);
}

/** Moves the checkpoints of a mirror past what was listed, never back. It does not run meanwhile. */
export async function dropListed(
  key: MirrorKey,
  kept: readonly KeptLane[],
  host: Pick<MirrorHost, 'whileStopped'>,
  store: StateStore,
): Promise<void> {
  await host.whileStopped(key, async () => {
    const now = await store.loadCheckpoints(key);
    const moved = kept
      .map(({ dropped }) => dropped)
      .filter(({ lane, next }) => {
        const current = now.find((each) => each.lane.topic === lane.topic && each.lane.lane === lane.lane);
        return current === undefined || comparePositions(current.next, next) < 0;
      });
    if (moved.length > 0) await store.saveCheckpoints(key, moved);
  });
}

import { IsthmusError } from '../errors.ts';
import { untilAborted } from '../lib/abort.ts';
import { formatPosition } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import { deadLetterTopicOf } from '../model/topic-name.ts';
import type { Log } from '../spi/log.ts';
import type { LaneRecorder } from '../spi/recorder.ts';
import type { LanePlan, MirrorContext } from './lane-plan.ts';

interface BadRecordParts {
  readonly context: MirrorContext;
  readonly plan: LanePlan;
  readonly recorder: LaneRecorder;
  readonly log: Log;
  /** Ends waiting for a dead letter to be written. */
  readonly failure: AbortSignal;
}

/** What becomes of records (or whole entries) that are damaged or that the target can never hold: the rule `onBadRecord`. */
export class BadRecords {
  readonly #parts: BadRecordParts;
  /** A dead letter on its way. */
  #letter: Promise<void> | undefined;

  constructor(parts: BadRecordParts) {
    this.#parts = parts;
  }

  get stopsLane(): boolean {
    return this.#parts.context.spec.onBadRecord === 'stop-lane';
  }

  error(code: 'RECORD_DAMAGED' | 'RECORD_REFUSED', batch: RecordBatch, i: number, reason: string): IsthmusError {
    const { lane } = this.#parts.plan;
    return new IsthmusError(
      code,
      `mirroring the ${batch.whole ? 'entry' : 'record'} at ${lane.topic} ${lane.lane} ${formatPosition(batch.positionAt(i))}: ${reason}. Remove the cause and restart the mirror, or set onBadRecord: dead-letter`,
    );
  }

  /** Keeps it in the dead-letter topic. */
  async keep(batch: RecordBatch, i: number, reason: string): Promise<void> {
    const { context, plan, recorder, log, failure } = this.#parts;
    const { spec, sourceCluster, sink } = context;
    const topic = deadLetterTopicOf(spec, plan.lane.topic);
    const { retentionMinutes } = spec;
    this.#letter = sink.writeDeadLetter({ topic, retentionMinutes, reason, sourceCluster, lane: plan.lane, batch, i });
    await untilAborted(this.#letter, failure);
    this.#letter = undefined;
    recorder.deadLetter();
    log.warn('record-dead-lettered', { position: formatPosition(batch.positionAt(i)), reason, deadLetterTopic: topic });
  }

  /** Gives a batch back, as soon as no dead letter reads from it: given back before, that would get another record's bytes. */
  release(batch: RecordBatch): void {
    const release = (): void => batch.release();
    if (this.#letter === undefined) release();
    else void this.#letter.then(release, release);
  }
}

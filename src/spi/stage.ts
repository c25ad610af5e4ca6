import type { RecordBatch } from '../model/record-batch.ts';
import type { DropReason } from './recorder.ts';

/** What becomes of each record of a batch: `undefined` = it goes on, else why it is dropped. A dropped record still counts as done. */
export type Verdicts = (DropReason | undefined)[];

/** One step on the way from source to target. It decides about records that are still going on; it copies nothing. */
export type Stage = (batch: RecordBatch, verdicts: Verdicts) => void;

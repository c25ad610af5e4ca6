import { RecordBatch } from '../model/record-batch.ts';

const SMALLEST = 8;
const LARGEST = 4096;
/** Records for which the pool keeps columns, some 300 bytes each. */
const MAX_KEPT_RECORDS = 32_768;

/** A batch of the pool; whoever fills it says what is to happen when its holder is done with it. */
export class PooledBatch extends RecordBatch {
  onRelease: (() => void) | undefined;
  lent = false;
}

/** Record batches, used again: a batch has some fifteen columns, and making them costs more than filling them. */
export class BatchPool {
  readonly #free = new Map<number, PooledBatch[]>();
  readonly #released = (batch: RecordBatch): void => {
    if (batch instanceof PooledBatch) this.#take(batch);
  };
  #keptRecords = 0;

  /** An empty batch for `records` (4096 at most). */
  take(records: number): PooledBatch {
    const capacity = records <= SMALLEST ? SMALLEST : records >= LARGEST ? LARGEST : 2 ** (32 - Math.clz32(records - 1));
    const kept = this.#free.get(capacity)?.pop();
    if (kept !== undefined) this.#keptRecords -= capacity;
    const batch = kept ?? new PooledBatch(capacity, this.#released);
    batch.lent = true;
    return batch;
  }

  #take(batch: PooledBatch): void {
    // Two holders of one batch would overwrite each other's records: better an error than wrong bytes.
    if (!batch.lent) throw new Error('a record batch was released twice');
    const { onRelease, capacity } = batch;
    batch.lent = false;
    batch.onRelease = undefined;
    if (this.#keptRecords + capacity <= MAX_KEPT_RECORDS) {
      this.#keptRecords += capacity;
      const free = this.#free.get(capacity);
      if (free === undefined) this.#free.set(capacity, [batch]);
      else free.push(batch);
    }
    onRelease?.();
  }
}

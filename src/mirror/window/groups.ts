import { IsthmusError } from '../../errors.ts';
import { WindowIds } from '../../lib/window-ids.ts';
import { formatPosition, type Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import { Verdict } from '../../spi/dedup-window.ts';
import type { Delivery } from '../../spi/source.ts';
import type { Verdicts } from '../../spi/stage.ts';

/** What a lane is handed next: a batch with its verdicts, or a stretch that the source does not have. */
export type Judged =
  | { readonly kind: 'records'; readonly batch: RecordBatch; readonly verdicts: Verdicts }
  | Extract<Delivery, { kind: 'gap' }>;

interface GroupRows {
  readonly batch: RecordBatch;
  readonly verdicts: Verdicts;
  /** Ids of row i: from `first[i]` up to `first[i + 1]`. */
  readonly first: Int32Array;
}

/** Batches whose ids are claimed with one question. */
export class Group {
  readonly ids: WindowIds = new WindowIds();
  /** What the target has already, by the look at it. */
  readonly found: WindowIds = new WindowIds();
  readonly items: Judged[] = [];
  readonly #rows: GroupRows[] = [];
  /** Where its first row lies, and where the lane goes on after its last one. */
  begin: Position | undefined;
  end: Position | undefined;
  claimed = false;
  /** All its rows may be handed out. */
  ready = false;
  /** Somebody else has one of its records on the way. */
  waits = false;
  /** All its rows are stored, and the window is being told; `done` when it knows. */
  confirmed = false;
  done = false;

  /** Notes a batch whose ids were added from `firstIds[i]` on for each row. */
  add(batch: RecordBatch, verdicts: Verdicts, first: Int32Array, end: Position): void {
    this.#rows.push({ batch, verdicts, first });
    this.begin ??= batch.positionAt(0);
    this.end = end;
    this.items.push({ kind: 'records', batch, verdicts });
  }

  /** Whether somebody else has one of its records on the way. */
  get blocked(): boolean {
    return this.ids.verdicts.includes(Verdict.claimed);
  }

  /** Drops the rows that the target has, or gets from a copy before. Rejects an entry that it has in part. */
  judge(): void {
    const given = this.ids.verdicts;
    for (const { batch, verdicts, first } of this.#rows) {
      for (let i = 0; i < batch.count; i++) {
        const [from = 0, to = 0] = [first[i], first[i + 1]];
        if (from === to || verdicts[i] !== undefined) continue;
        let there = 0;
        for (let id = from; id < to; id++) if (given[id] === Verdict.stored || given[id] === Verdict.repeated) there++;
        if (there === to - from) verdicts[i] = 'duplicate';
        else if (there > 0) throw new StoredInPart(batch.positionAt(i));
      }
    }
  }

  /** What was claimed for a row is neither confirmed nor given back: it was kept as a dead letter. */
  skip(batch: RecordBatch, i: number): void {
    const first = this.#firstIds(batch);
    if (first !== undefined) this.ids.verdicts.fill(Verdict.claimed, first[i], first[i + 1]);
  }

  /** As `skip`, for a row and all after it: the lane stops there. */
  skipFrom(batch: RecordBatch, i: number): void {
    const first = this.#firstIds(batch);
    if (first !== undefined) this.ids.verdicts.fill(Verdict.claimed, first[i]);
  }

  #firstIds(batch: RecordBatch): Int32Array | undefined {
    return this.#rows.find((rows) => rows.batch === batch)?.first;
  }
}

/** An entry of which the target has some records, from another way: the lane begins again and takes it apart. */
export class StoredInPart extends IsthmusError {
  readonly entry: Position;

  constructor(entry: Position) {
    super(
      'CONFLICT',
      `passing on the entry ${formatPosition(entry)}: the target has a part of it, from another way; it is taken apart`,
      {
        retryable: true,
      },
    );
    this.entry = entry;
  }
}

import type { Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import type { Delivery, LaneReader } from '../spi/source.ts';
import type { Verdicts } from '../spi/stage.ts';
import type { Judged } from './window/groups.ts';

/** What a lane is handed, in order, and judged. */
export interface Intake {
  /** The next one if it is here already. Throws what has ended the intake. */
  poll(): Judged | undefined;
  /** The next one; waits for it. Rejects with CLOSED after `close`. */
  read(): Promise<Judged>;
  /** Everything before `next` is stored. */
  safe(next: Position): void;
  /** A row will not be stored: it was kept as a dead letter. */
  skip(batch: RecordBatch, i: number): void;
  /** The lane ends at a row, and everything before it is stored. */
  stopAt(batch: RecordBatch, i: number): void;
  /** A checkpoint must not pass this place yet. */
  readonly unconfirmedFrom: Position | undefined;
  /** Resolves when nothing holds the checkpoint that is safe. */
  settle(): Promise<void>;
  /** Gives back what was not handed out. */
  close(): Promise<void>;
}

/** Deliveries as they come, each judged when it is handed out; the verdicts are good until the next one. */
export class PlainIntake implements Intake {
  readonly #reader: LaneReader;
  readonly #judge: (batch: RecordBatch, verdicts: Verdicts) => void;
  readonly #verdicts: Verdicts = [];
  readonly unconfirmedFrom: undefined;

  constructor(reader: LaneReader, judge: (batch: RecordBatch, verdicts: Verdicts) => void) {
    this.#reader = reader;
    this.#judge = judge;
  }

  poll(): Judged | undefined {
    const delivery = this.#reader.poll();
    return delivery === undefined ? undefined : this.#judged(delivery);
  }

  async read(): Promise<Judged> {
    return this.#judged(await this.#reader.read());
  }

  safe(): void {
    // Nobody else has to hear of it.
  }

  skip(): void {
    // Nothing was claimed for it.
  }

  stopAt(): void {
    // Nothing was claimed.
  }

  async settle(): Promise<void> {
    // Nothing holds the checkpoint.
  }

  async close(): Promise<void> {
    // Nothing was read ahead here.
  }

  #judged(delivery: Delivery): Judged {
    if (delivery.kind === 'gap') return delivery;
    const { batch } = delivery;
    const verdicts = this.#verdicts;
    verdicts.length = batch.count;
    verdicts.fill(undefined);
    this.#judge(batch, verdicts);
    return { kind: 'records', batch, verdicts };
  }
}

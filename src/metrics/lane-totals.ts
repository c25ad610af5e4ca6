import type { DropReason, LaneLabels, LaneRecorder } from '../spi/recorder.ts';

/**
 * What a lane has counted, as plain numbers: the data path adds to them and looks nothing up. They become series when
 * somebody asks for them.
 */
export class LaneTotals implements LaneRecorder {
  readonly labels: LaneLabels;
  readRecords = 0;
  readBytes = 0;
  storedRecords = 0;
  storedBytes = 0;
  damagedMarkRecords = 0;
  uncheckedRecords = 0;
  deadLetters = 0;
  recoveries = 0;
  resentRecords = 0;
  foundRecords = 0;
  readonly droppedRecords: Map<string, number> = new Map();
  readonly gaps: Map<string, number> = new Map();
  readonly gapRecords: Map<string, number> = new Map();
  readonly laneRestarts: Map<string, number> = new Map();
  readonly #observe: (seconds: number) => void;
  readonly #closed: (totals: LaneTotals) => void;

  constructor(labels: LaneLabels, observe: (seconds: number) => void, closed: (totals: LaneTotals) => void) {
    this.labels = labels;
    this.#observe = observe;
    this.#closed = closed;
  }

  read(records: number, bytes: number): void {
    this.readRecords += records;
    this.readBytes += bytes;
  }

  stored(records: number, bytes: number, latencySeconds: number): void {
    this.storedRecords += records;
    this.storedBytes += bytes;
    // A clock or a stamp gone wrong must not end a lane: prom-client throws on what is no number.
    if (Number.isFinite(latencySeconds)) this.#observe(Math.max(0, latencySeconds));
  }

  dropped(reason: DropReason, records: number): void {
    add(this.droppedRecords, reason, records);
  }

  damagedMarks(records: number): void {
    this.damagedMarkRecords += records;
  }

  unchecked(records: number): void {
    this.uncheckedRecords += records;
  }

  deadLetter(): void {
    this.deadLetters++;
  }

  gap(reason: string, records: number): void {
    add(this.gaps, reason, 1);
    add(this.gapRecords, reason, records);
  }

  recovered(resentRecords: number, foundRecords: number): void {
    this.recoveries++;
    this.resentRecords += resentRecords;
    this.foundRecords += foundRecords;
  }

  restart(code: string): void {
    add(this.laneRestarts, code, 1);
  }

  close(): void {
    this.#closed(this);
  }
}

function add(totals: Map<string, number>, name: string, value: number): void {
  totals.set(name, (totals.get(name) ?? 0) + value);
}

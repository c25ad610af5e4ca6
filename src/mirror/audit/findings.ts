import type { Position } from '../../model/position.ts';
import type { DropReason } from '../../spi/recorder.ts';

/**
 * `missing`: the source has it and the target has not. `doubled`: the target has it more than once. `changed`: the target has it with another key, body or
 * property. `reordered`: the target has it after a record of the same key that comes later in the source. `unexpected`: the target has a record of this lane that
 * the source has not (any more), or that the mirror leaves out now; that alone is no fault.
 */
export type DifferenceKind = 'missing' | 'doubled' | 'changed' | 'reordered' | 'unexpected';

export const DIFFERENCE_KINDS: readonly DifferenceKind[] = ['missing', 'doubled', 'changed', 'reordered', 'unexpected'];
/** What makes source and target differ. */
export const FAULTS: readonly DifferenceKind[] = ['missing', 'doubled', 'changed', 'reordered'];

/** A place in the target. */
export interface TargetPlace {
  readonly lane: string;
  readonly position: Position;
}

export interface Difference {
  readonly kind: DifferenceKind;
  readonly topic: string;
  readonly lane: string;
  /** In the source. */
  readonly position: Position;
  /** When the source stored it, milliseconds since 1970; `undefined` where the source has it not. */
  readonly time: number | undefined;
  /** Where the target has it: all copies of a doubled one (the first eight), none of a missing one. */
  readonly target: readonly TargetPlace[];
  /** Of a reordered one: the later record of its key that comes before it in the target. */
  readonly behind: Position | undefined;
  /** Of a missing one: it lies before what is known to be still complete in the target, so it may have been stored and expired. It is never repaired. */
  readonly mayHaveExpired: boolean;
}

/** Why a record of the source has no place in the target, and does not need one. */
export type Absence =
  | DropReason
  /** The source driver could not read it. */
  | 'damaged'
  | 'dead-lettered'
  /** It was stored, and the target has deleted it since. */
  | 'expired'
  /** It comes before the first record that the mirror has taken. */
  | 'before-start';

const MAX_LISTED = 250;
const MAX_MINUTES = 1_440;
const MINUTE_MILLIS = 60_000;

export type Counts = Record<DifferenceKind, number>;

const none = (): Counts => ({ missing: 0, doubled: 0, changed: 0, reordered: 0, unexpected: 0 });

/** What a comparison has found so far. Lists are bounded, counts are not. */
export class Findings {
  readonly counts: Counts = none();
  readonly absences: Map<Absence, number> = new Map();
  readonly notes: string[] = [];
  mayHaveExpired = 0;
  readonly #listed: Record<DifferenceKind, Difference[]> = {
    missing: [],
    doubled: [],
    changed: [],
    reordered: [],
    unexpected: [],
  };
  readonly #minutes = new Map<number, Counts>();

  add(difference: Difference): void {
    const { kind, time } = difference;
    this.counts[kind]++;
    if (difference.mayHaveExpired) this.mayHaveExpired++;
    if (this.#listed[kind].length < MAX_LISTED) this.#listed[kind].push(difference);
    if (time === undefined) return;
    const minute = Math.floor(time / MINUTE_MILLIS) * MINUTE_MILLIS;
    let counts = this.#minutes.get(minute);
    if (counts === undefined) {
      if (this.#minutes.size >= MAX_MINUTES) return;
      this.#minutes.set(minute, (counts = none()));
    }
    counts[kind]++;
  }

  absent(why: Absence, records = 1): void {
    this.absences.set(why, (this.absences.get(why) ?? 0) + records);
  }

  note(text: string): void {
    if (this.notes.length < MAX_LISTED && !this.notes.includes(text)) this.notes.push(text);
  }

  get faults(): number {
    return FAULTS.reduce((sum, kind) => sum + this.counts[kind], 0);
  }

  /** The first of each kind. */
  get listed(): readonly Difference[] {
    return DIFFERENCE_KINDS.flatMap((kind) => this.#listed[kind]);
  }

  /** Differences per minute in which the source stored the records, ascending; at most a day's worth. */
  get minutes(): readonly { readonly minute: number; readonly counts: Counts }[] {
    return [...this.#minutes].map(([minute, counts]) => ({ minute, counts })).sort((a, b) => a.minute - b.minute);
  }
}

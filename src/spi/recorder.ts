/** Labels of a mirror's metrics. */
export interface LaneLabels {
  readonly link: string;
  readonly mirror: string;
  readonly topic: string;
  readonly lane: string;
}

export type DropReason = 'loop' | 'tag' | 'property' | 'duplicate';

/** What the heart tells about itself. Implemented by metrics/; handles are made once per lane so that the data path does no look-ups. */
export interface LaneRecorder {
  read(records: number, bytes: number): void;
  stored(records: number, bytes: number, latencySeconds: number): void;
  dropped(reason: DropReason, records: number): void;
  /** Records whose mark could not be read, was not sealed by us or does not speak of them: they are mirrored as local ones. */
  damagedMarks(records: number): void;
  /** Records that go on without the dedup window, while it is away. */
  unchecked(records: number): void;
  deadLetter(): void;
  gap(reason: string, records: number): void;
  recovered(resentRecords: number, foundRecords: number): void;
  restart(code: string): void;
  close(): void;
}

export interface Recorder {
  lane(labels: LaneLabels): LaneRecorder;
  stateStore(available: boolean): void;
}

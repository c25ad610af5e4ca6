export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly unit: 'records' | 'bytes' | 'seconds' | 'events' | 'lanes' | 'groups' | 'yes or no';
  /** Who it is told of: this process, each link, each group that follows, each mirror, each lane. Gives the first labels. */
  readonly per: 'process' | 'link' | 'group' | 'mirror' | 'lane';
  /** The last label, where there is another. */
  readonly by?: 'reason' | 'code' | 'state';
  readonly help: string;
}

/** Upper bounds of the latency buckets, in seconds. */
export const LATENCY_BUCKETS: readonly number[] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60];

/** Every metric of Isthmus, once. docs/METRICS.md is generated from here. */
const TABLE = {
  readRecords: {
    kind: 'counter',
    name: 'isthmus_read_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records read from the source, dropped ones included.',
  },
  readBytes: {
    kind: 'counter',
    name: 'isthmus_read_bytes_total',
    unit: 'bytes',
    per: 'lane',
    help: 'Bytes of the records read, as held in memory.',
  },
  storedRecords: {
    kind: 'counter',
    name: 'isthmus_stored_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records that the target has confirmed as stored.',
  },
  storedBytes: {
    kind: 'counter',
    name: 'isthmus_stored_bytes_total',
    unit: 'bytes',
    per: 'lane',
    help: 'Bytes of the stored batches, as sent.',
  },
  droppedRecords: {
    kind: 'counter',
    name: 'isthmus_dropped_records_total',
    unit: 'records',
    per: 'lane',
    by: 'reason',
    help: 'Records left out on purpose: loop (it has passed the target before), tag or property (the filter of the mirror), duplicate.',
  },
  damagedMarkRecords: {
    kind: 'counter',
    name: 'isthmus_damaged_mark_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records whose mark could not be read, was not sealed with our secret, or does not speak of them. They are mirrored as records of the source itself.',
  },
  uncheckedRecords: {
    kind: 'counter',
    name: 'isthmus_unchecked_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records that were mirrored without their dedup window while it was away, as onStateLoss: continue wants it. What came another way may be there twice.',
  },
  deadLetters: {
    kind: 'counter',
    name: 'isthmus_dead_letters_total',
    unit: 'records',
    per: 'lane',
    help: 'Records that the target refused and that were written to the dead-letter topic.',
  },
  gaps: {
    kind: 'counter',
    name: 'isthmus_gaps_total',
    unit: 'events',
    per: 'lane',
    by: 'reason',
    help: 'Stretches that the source no longer had when they were to be read: expired, truncated, recreated or reset.',
  },
  gapRecords: {
    kind: 'counter',
    name: 'isthmus_gap_records_total',
    unit: 'records',
    per: 'lane',
    by: 'reason',
    help: 'Positions inside those stretches, where they can be counted.',
  },
  recoveries: {
    kind: 'counter',
    name: 'isthmus_recoveries_total',
    unit: 'events',
    per: 'lane',
    help: 'Looks at the tail of the target before writing, after a start or a doubt.',
  },
  foundRecords: {
    kind: 'counter',
    name: 'isthmus_recovery_found_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records that such a look found stored beyond the checkpoint, and that were therefore not written again.',
  },
  resentRecords: {
    kind: 'counter',
    name: 'isthmus_resent_records_total',
    unit: 'records',
    per: 'lane',
    help: 'Records sent again after the target was seen not to have them.',
  },
  laneRestarts: {
    kind: 'counter',
    name: 'isthmus_lane_restarts_total',
    unit: 'events',
    per: 'lane',
    by: 'code',
    help: 'Times that a lane was closed by an error and opened again, by the code of the error.',
  },
  storeLatency: {
    kind: 'histogram',
    name: 'isthmus_store_latency_seconds',
    unit: 'seconds',
    per: 'mirror',
    help: 'From stored at the source to stored in the target, by the clocks of the source broker and of this process. One observation per batch: that of its first record.',
  },
  lagRecords: {
    kind: 'gauge',
    name: 'isthmus_lag_records',
    unit: 'records',
    per: 'lane',
    help: 'Records that the source has and the target has not. Absent while it is unknown.',
  },
  lagSeconds: {
    kind: 'gauge',
    name: 'isthmus_lag_seconds',
    unit: 'seconds',
    per: 'lane',
    help: 'Age of the oldest record that is not stored in the target yet, 0 when there is none. Absent while it is unknown.',
  },
  laneState: {
    kind: 'gauge',
    name: 'isthmus_lane_state',
    unit: 'yes or no',
    per: 'lane',
    by: 'state',
    help: '1 for the state that the lane is in: starting, recovering, running, waiting, paused or stopped. A stopped lane needs somebody.',
  },
  lanes: {
    kind: 'gauge',
    name: 'isthmus_lanes',
    unit: 'lanes',
    per: 'mirror',
    by: 'state',
    help: 'Lanes of a mirror by their state.',
  },
  groupSyncAge: {
    kind: 'gauge',
    name: 'isthmus_group_sync_age_seconds',
    unit: 'seconds',
    per: 'group',
    help: 'Since the progress of the group was last read, translated and, where that is wanted, applied. Absent before the first time.',
  },
  groupRereads: {
    kind: 'gauge',
    name: 'isthmus_group_reread_records',
    unit: 'records',
    per: 'group',
    help: 'Records that the group would read again on the target if it went on there now. Absent while it is unknown.',
  },
  groups: {
    kind: 'gauge',
    name: 'isthmus_groups',
    unit: 'groups',
    per: 'link',
    by: 'state',
    help: 'Groups that follow, by state: synced, shown, ahead, active or waiting.',
  },
  stateStoreAvailable: {
    kind: 'gauge',
    name: 'isthmus_state_store_available',
    unit: 'yes or no',
    per: 'process',
    help: '0 while the state store does not answer. Mirrors go on meanwhile; changes by the API are refused.',
  },
  readAheadBytes: {
    kind: 'gauge',
    name: 'isthmus_read_ahead_bytes',
    unit: 'bytes',
    per: 'process',
    help: 'Bytes read and not yet handed to a writer, over all lanes; bounded by limits.readAheadBytes.',
  },
  inFlightBytes: {
    kind: 'gauge',
    name: 'isthmus_in_flight_bytes',
    unit: 'bytes',
    per: 'process',
    help: 'Bytes sent and not yet stored, over all lanes; bounded by limits.inFlightBytes.',
  },
} as const;

export type MetricName = keyof typeof TABLE;

export const CATALOGUE: Readonly<Record<MetricName, MetricDefinition>> = TABLE;

const LABELS = {
  process: [],
  link: ['link'],
  group: ['link', 'group'],
  mirror: ['link', 'mirror'],
  lane: ['link', 'mirror', 'topic', 'lane'],
} as const;

/** Names of a metric's labels, in order. */
export function labelsOf({ per, by }: MetricDefinition): string[] {
  return by === undefined ? [...LABELS[per]] : [...LABELS[per], by];
}
